// trainer: trains the trading agent, by hand or under the supervisor. Exit status: the worker contract's.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "common/base/text.h"
#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/store.h"
#include "common/cli/program.h"
#include "common/config/load.h"
#include "common/protocol/notify_sender.h"
#include "common/protocol/worker_contract.h"
#include "worker/dqn/torch_runtime.h"
#include "worker/dqn/trading_task.h"
#include "worker/session/session.h"
#include "worker/session/signals.h"

namespace {

using ts::protocol::ExitCode;
using ts::session::ResumeRequest;

// Loading and evaluating takes a moment in which nothing beats.
constexpr std::chrono::minutes kEvaluationSilence{10};

struct Arguments {
  std::string config_file = "config/config.yaml";
  std::string resume;
  std::string evaluate;
  std::string device;
  std::int64_t episodes = 0;
  bool auto_resume = false;
  bool fresh = false;
};

// The last words: on stdout, which is the worker log under a supervisor, and there the supervisor reads them.
int refuse(const ts::Error& error) {
  std::printf("%s\n", error.message.c_str());
  return static_cast<int>(ts::protocol::exit_code_for(error.kind));
}

ResumeRequest resume_request(const Arguments& arguments) {
  if (arguments.fresh) return {ResumeRequest::Kind::fresh, {}};
  if (!arguments.resume.empty()) return {ResumeRequest::Kind::selector, arguments.resume};
  if (arguments.auto_resume) return {ResumeRequest::Kind::automatic, {}};
  return {};
}

std::string render(const ts::dqn::TradingTask::Comparison& row) {
  using ts::format_fixed;
  return row.split + " " + row.first_date + " to " + row.last_date + ": profit " +
         format_fixed(row.policy.profit_percent, 1) + "% (buy and hold " +
         format_fixed(row.buy_and_hold.profit_percent, 1) + "%), Sharpe " + format_fixed(row.policy.sharpe, 2) + " (" +
         format_fixed(row.buy_and_hold.sharpe, 2) + "), max drawdown " +
         format_fixed(row.policy.max_drawdown_percent, 1) + "% (" +
         format_fixed(row.buy_and_hold.max_drawdown_percent, 1) + "%), " + std::to_string(row.policy.trades) +
         " trades, " + format_fixed(row.policy.win_rate_percent, 0) + "% won";
}

// Loads what `selector` names and prints how it trades; nothing in the directory is changed, and no lock is needed.
ts::Result<> evaluate(ts::dqn::TradingTask& task, const ts::config::Config& config, const std::string& text) {
  using namespace ts::checkpoint;
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return directory.error();
  const auto selector = parse_selector(text);
  if (!selector) return selector.error();
  const Store store(*directory, Store::Contents::map);
  const auto chosen = store.select(*selector, "");
  if (!chosen) return ts::make_error(chosen.error().kind, chosen.error().message + " " + store.list_usable() + ".");
  const auto archive = read_archive(chosen->archive.bytes(), to_string(*selector), CrcCheck::verify);
  if (!archive) return archive.error();
  const auto loaded = task.load(archive->root);
  if (!loaded) return ts::make_error(loaded.error().kind, text + " does not fit: " + loaded.error().message + ".");
  ts::protocol::NotifySender supervisor(std::getenv(ts::protocol::kEnvNotifySocket));
  ts::protocol::NotifyMessage busy;
  busy.extend_timeout = kEvaluationSilence;
  supervisor.send(busy);
  for (const auto& row : task.compare()) {
    const std::string line =
        to_string(*selector) + " (episode " + std::to_string(chosen->sidecar.episode) + "), " + render(row);
    std::printf("%s\n", line.c_str());
    ts::protocol::NotifyMessage message;
    message.status = line;
    supervisor.send(message);
  }
  return {};
}

int run(const Arguments& arguments) {
  auto config = ts::config::load_config(arguments.config_file);
  if (!config) return refuse(config.error());
  if (arguments.episodes > 0) config->training.episodes = arguments.episodes;
  if (!arguments.device.empty()) config->training.device = arguments.device;

  ts::session::install_signal_handlers();
  ts::dqn::set_up_torch(config->training.threads, config->training.seed);
  const auto device = ts::dqn::resolve_device(config->training.device);
  if (!device) return refuse(device.error());
  const auto task = ts::dqn::TradingTask::create(*config, *device);
  if (!task) return refuse(task.error());
  if (!arguments.evaluate.empty()) {
    const auto evaluated = evaluate(**task, *config, arguments.evaluate);
    return evaluated ? 0 : refuse(evaluated.error());
  }
  const auto ended = ts::session::run_session(**task, *config, {resume_request(arguments), "trainer"});
  if (!ended) return refuse(ended.error());
  if (*ended == ExitCode::finished && config->checkpoints.save_best) {
    const auto evaluated = evaluate(**task, *config, "best");
    if (!evaluated) std::printf("warning: the best model was not evaluated: %s\n", evaluated.error().message.c_str());
  }
  return static_cast<int>(*ended);
}

ts::cli::ManPage page() {
  return {"trainer",
          1,
          "train a double DQN agent, saving so that it can go on",
          TS_VERSION,
          {{"SIGNALS",
            "SIGTERM, SIGINT: stop at the next step with the last completed episode saved; a second one ends it at "
            "once.\n\nSIGUSR1: save now."},
           {"EXIT STATUS",
            "  0   finished\n  65  the data or a checkpoint cannot be used\n  70  internal error\n  74  cannot write\n"
            "  75  stopped as asked, saved\n  78  the configuration or the command line is wrong"}},
          {"trainer-supervisor(8)", "supervisorctl(1)", "trainer-supervisor.yaml(5)"}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains a double DQN agent that trades one instrument. Stops at SIGTERM or Ctrl+C with the last completed\n"
      "episode saved; a second one ends it at once. SIGUSR1 saves now.",
      "trainer"};
  Arguments arguments;
  app.add_option("--config", arguments.config_file, "Configuration (YAML)")->capture_default_str();
  auto* resume = app.add_option("--resume", arguments.resume,
                                "Go on from a checkpoint: latest, best, ep200 or a .pt file; newer ones are set aside");
  auto* automatic = app.add_flag("--auto-resume", arguments.auto_resume,
                                 "Go on from the newest valid checkpoint, or begin if there is none");
  auto* fresh =
      app.add_flag("--fresh", arguments.fresh, "Start over; the checkpoints there are set aside, not deleted");
  auto* evaluated = app.add_option("--evaluate", arguments.evaluate,
                                   "Do not train: print how this checkpoint trades, beside buy-and-hold");
  resume->excludes(automatic)->excludes(fresh)->excludes(evaluated);
  automatic->excludes(fresh)->excludes(evaluated);
  fresh->excludes(evaluated);
  app.add_option("--episodes", arguments.episodes, "Train to this many episodes, instead of training.episodes")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{999'999'999}));
  app.add_option("--device", arguments.device, "auto, cpu, cuda or cuda:N, instead of training.device");
  app.set_version_flag("--version", TS_VERSION);
  app.footer("Example: trainer --auto-resume");
  ts::cli::add_man_page(app, page());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (!ts::cli::is_wrong(app, error)) return app.exit(error);
    std::fprintf(stderr, "trainer: %s\n", ts::cli::what_is_wrong(app, error).c_str());
    return static_cast<int>(ExitCode::configuration);
  }
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    std::printf("trainer: internal error: %s. Please report it.\n", error.what());
    return static_cast<int>(ExitCode::internal);
  }
}
