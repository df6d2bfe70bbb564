#include "supervisor/ctl/command_line.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/base/text.h"
#include "common/cli/program.h"
#include "supervisor/api/version.h"

namespace ts::ctl {
namespace {

constexpr const char* kPurpose = "ask the training supervisor, tell it what to do, and look at checkpoints";

constexpr const char* kExitStatuses =
    "Exit status: 0 done; 1 refused, or it went wrong; 2 usage, or a selector that names nothing usable; 3 nothing "
    "runs "
    "(status); 4 no supervisor answers; 5 it took too long.";

cli::ManPage page() {
  return {
      "supervisorctl",
      1,
      kPurpose,
      api::kVersion,
      {{"EXIT STATUS",
        "  0  done\n  1  refused, or it went wrong\n  2  usage, or a selector that names nothing usable\n"
        "  3  nothing runs: stopped, finished or given up (status)\n  4  no supervisor answers\n  5  it took too long"},
       {"SELECTORS",
        "  latest   the newest valid checkpoint of this run\n  best     the best model so far\n"
        "  ep200    the one of that episode\n  FILE.pt  that file"},
       {"ENVIRONMENT",
        "TRAINER_SUPERVISOR_SOCKET: the control socket, where neither --socket nor --config is given.\n\n"
        "NO_COLOR: no colour, whatever its value."},
       {"FILES",
        "config/config.yaml: the configuration that tells where socket and checkpoints are, unless --config names "
        "another.\n\n/etc/trainer-supervisor/config.yaml: the service's, which counts where there is no such file "
        "here.\n\n/run/trainer-supervisor/control.sock: the service's socket, where neither is there."}},
      {"trainer-supervisor(8)", "trainer(1)", "trainer-supervisor.yaml(5)"}};
}

// The verbs as a parser, and which parser is which verb.
class Parser {
 public:
  explicit Parser(Arguments& arguments)
      : app_("Asks the training supervisor what it does, tells it what to do, and looks at checkpoints.",
             "supervisorctl") {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", api::kVersion);
    config_ = app_.add_option("--config", arguments.config_file, "Configuration that the supervisor runs with")
                  ->type_name("FILE")
                  ->default_str("config/config.yaml, else the service's");
    app_.add_option("--socket", arguments.socket, "Control socket of the supervisor (default: from the configuration)")
        ->type_name("FILE");
    cli::add_man_page(app_, page());
    app_.footer(kExitStatuses);
    for (const Verb& verb : verbs()) add(verb, arguments);
    auto* completion = app_.add_subcommand("completion", "Print the script that completes this in a shell.");
    completion->add_option("shell", shell_, "Which")->type_name("bash|zsh|fish")->required();
    completion->footer("Example: source <(supervisorctl completion bash)");
  }

  CLI::App& app() { return app_; }
  bool config_given() const { return config_->count() > 0; }
  const std::string& shell() const { return shell_; }

  const Verb* verb() const {
    const auto found = verbs_.find(&cli::innermost(app_));
    return found == verbs_.end() ? nullptr : found->second;
  }

 private:
  void add(const Verb& verb, Arguments& arguments) {
    const std::string_view name = verb.name;
    const std::size_t blank = name.find(' ');
    CLI::App* parent = &app_;
    if (blank != std::string_view::npos) parent = app_.get_subcommand(std::string(name.substr(0, blank)));
    CLI::App* added = parent->add_subcommand(std::string(name.substr(blank + 1)), verb.help);
    if (verb.options != nullptr) verb.options(*added, arguments);
    if (verb.run == nullptr) added->require_subcommand(1);
    if (parent != &app_ && verbs_.at(parent)->run != nullptr) parent->require_subcommand(0, 1);
    added->footer(example_of(verb));
    verbs_[added] = &verb;
  }

  static std::string example_of(const Verb& verb) {
    const std::string_view text = verb.example;
    const bool several = text.find('\n') != std::string_view::npos;
    return (several ? "Examples:\n  " : "Example: ") + joined(text, "\n  ");
  }
  static std::string joined(std::string_view lines, std::string_view between) {
    std::string out;
    for (const char c : lines) out += c == '\n' ? std::string(between) : std::string(1, c);
    return out;
  }

  CLI::App app_;
  CLI::Option* config_ = nullptr;
  std::string shell_;
  std::map<const CLI::App*, const Verb*> verbs_;
};

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  Arguments arguments;
  Parser parser(arguments);
  try {
    parser.app().parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (!cli::is_wrong(parser.app(), error)) return parser.app().exit(error);
    return static_cast<int>(complain(cli::what_is_wrong(parser.app(), error), Exit::usage));
  }
  arguments.config_given = parser.config_given();
  if (!arguments.config_given) {
    arguments.config_file = default_config_file([](const std::string& file) {
      std::error_code ignored;
      return std::filesystem::exists(file, ignored);
    });
  }
  const Verb* verb = parser.verb();
  if (verb != nullptr) return static_cast<int>(verb->run(arguments));
  const auto script = cli::completion(parser.app(), parser.shell());
  if (!script) {
    return static_cast<int>(complain(
        "there are completions for bash, zsh and fish, not for " + escape_control(parser.shell()) + ".", Exit::usage));
  }
  std::fputs(script->c_str(), stdout);
  return 0;
}

}  // namespace ts::ctl
