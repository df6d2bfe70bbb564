// A manual page from a command line: everything that --help shows is in it, and no text becomes a request to roff.
#include <gtest/gtest.h>

#include "common/cli/program.h"

namespace ts::cli {
namespace {

class ThePage : public testing::Test {
 protected:
  ThePage() : app_("Does things.\n.so /etc/passwd", "thing") {
    app_.add_option("--file", file_, "Which\n'one")->type_name("FILE")->capture_default_str();
    auto* group = app_.add_subcommand("group", "Several.");
    group->require_subcommand(0, 1);
    auto* inner = group->add_subcommand("inner", "One \\of them.");
    inner->add_option("what", file_, "What it is")->required();
    inner->add_flag("-q,--quiet", quiet_, "Say nothing");
    inner->footer("Example: thing group inner x");
    auto* bare = app_.add_subcommand("bare", "Nothing alone.");
    bare->require_subcommand(1);
    bare->add_subcommand("child", "Its only verb.");
    app_.add_flag("--secret", secret_, "Not shown")->group("");
  }

  std::string page() {
    return man_page(app_, {"thing", 1, "do \"things\"", "1.2", {{"FILES", "a\n  kept  as it is\nb"}}, {"other(8)"}});
  }
  void expect(const std::string& part) { EXPECT_NE(page().find(part), std::string::npos) << part << "\n" << page(); }

  CLI::App app_;
  std::string file_ = "a.txt";
  bool quiet_ = false;
  bool secret_ = false;
};

TEST_F(ThePage, ShowsVerbsArgumentsOptionsAndExamples) {
  expect(".TH \"THING\" 1 \"\" \"trainer\\-supervisor 1.2\"\n");
  expect("thing \\- do \"things\"\n");
  expect(".SS \"group\"\nSeveral.\n");
  expect(".SS \"group inner what\"\n");
  expect(".B \"\\-q, \\-\\-quiet\"\nSay nothing\n");
  expect("Example: thing group inner x\n");
  expect(".B \"\\-\\-file FILE\"\n");
  expect("(default: a.txt)");
  expect(".SH \"FILES\"\na\n.PP\n.nf\n.RS 2\nkept  as it is\n.RE\n.fi\nb\n");
  expect(".BR other (8)\n");
}

TEST_F(ThePage, LeavesOutWhatIsHiddenOrNothingAlone) {
  EXPECT_EQ(page().find("secret"), std::string::npos);
  EXPECT_EQ(page().find(".SS \"bare\""), std::string::npos);
  expect(".SS \"bare child\"\n");
}

TEST_F(ThePage, P7_LetsNoTextBecomeARequest) {
  expect("Does things.\n\\&.so /etc/passwd\n");
  expect("\\&'one (default");
  expect("One \\eof them.\n");
}

TEST_F(ThePage, IsPrintedByAHiddenOption) {
  add_man_page(app_, {"thing", 1, "do things", "1.2", {}, {}});
  const char* const arguments[] = {"thing", "--man-page"};
  try {
    app_.parse(2, arguments);
    FAIL() << "the page was not printed";
  } catch (const CLI::CallForVersion& said) {
    EXPECT_EQ(said.get_exit_code(), 0);
    EXPECT_EQ(std::string(said.what()).substr(0, 4), ".TH ");
  }
  EXPECT_EQ(app_.help().find("man-page"), std::string::npos);
}

}  // namespace
}  // namespace ts::cli
