// Completions from a command line. What the shells make of them is tested with the shells (integration/command_line).
#include <gtest/gtest.h>

#include "common/cli/program.h"

namespace ts::cli {
namespace {

class TheScript : public testing::Test {
 protected:
  TheScript() : app_("Does things.", "a-thing") {
    app_.add_option("--file", text_, "Which");
    auto* verb = app_.add_subcommand("show", "Show it's parts.\nAnd more.");
    verb->add_option("what", text_, "What")->type_name("latest|best|epN|FILE");
    verb->add_flag("-q,--quiet", quiet_, "Say nothing");
    verb->add_option("--until", text_, "When")->type_name("running|finished|episode=N");
    verb->add_option("--name", text_, "Whose")->type_name("NAME");
    app_.add_flag("--secret", secret_, "Not shown")->group("");
  }
  std::string script(const std::string& shell) { return completion(app_, shell).value_or("none"); }

  CLI::App app_;
  std::string text_;
  bool quiet_ = false;
  bool secret_ = false;
};

TEST_F(TheScript, IsThereForThreeShellsOnly) {
  for (const auto* shell : {"bash", "zsh", "fish"}) EXPECT_NE(script(shell), "none");
  for (const auto* shell : {"", "sh", "BASH", "powershell"}) EXPECT_EQ(script(shell), "none") << shell;
}

TEST_F(TheScript, OffersVerbsOptionsAndWordsButNoPlaceholders) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string text = script(shell);
    for (const auto* part : {"show", "latest", "best"}) EXPECT_NE(text.find(part), std::string::npos) << shell << part;
    for (const auto* part : {"secret", "epN", "FILE", "And more"}) {
      EXPECT_EQ(text.find(part), std::string::npos) << shell << part;
    }
  }
}

TEST_F(TheScript, OffersForAnOptionWhatItTakesAndFilesOnlyWhereItTakesThem) {
  app_.add_option("--config", text_, "Which")->type_name("FILE");
  EXPECT_NE(script("bash").find("'value --until') words='running finished';;"), std::string::npos) << script("bash");
  EXPECT_NE(script("bash").find("'value --name') words='';;"), std::string::npos) << script("bash");
  EXPECT_NE(script("bash").find("'value --config') words='' files=yes;;"), std::string::npos) << script("bash");
  EXPECT_NE(script("zsh").find("'value --until') compadd -- 'running' 'finished'; return;;"), std::string::npos);
  EXPECT_NE(script("fish").find("-l until -x -a 'running finished' -d 'When'"), std::string::npos) << script("fish");
  EXPECT_NE(script("fish").find("-l config -r -F -d 'Which'"), std::string::npos) << script("fish");
}

TEST_F(TheScript, QuotesWhatAShellWouldRead) {
  EXPECT_NE(script("zsh").find("'show:Show it'\\''s parts.'"), std::string::npos) << script("zsh");
  EXPECT_NE(script("fish").find("-d 'Show it'\\''s parts.'"), std::string::npos) << script("fish");
}

}  // namespace
}  // namespace ts::cli
