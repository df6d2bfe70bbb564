// trainer-supervisor: keeps one training run alive until it is finished.
//
// Exit status: 0 stopped as asked, or finished; else the worker contract's codes (65 data or checkpoint unusable,
// 70 internal error, 74 cannot write or locked by another, 78 bad configuration or usage).
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "common/cli/program.h"
#include "common/config/load.h"
#include "common/protocol/worker_contract.h"
#include "supervisor/api/version.h"
#include "supervisor/shell/log.h"
#include "supervisor/shell/supervisor.h"
#include "supervisor/shell/system_journal.h"

namespace {

using ts::protocol::ExitCode;

int refuse(const ts::Error& error) {
  const std::string priority =
      ts::shell::priority_prefix(ts::api::EventLevel::error, STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  std::fprintf(stderr, "%strainer-supervisor: %s\n", priority.c_str(), error.message.c_str());
  return static_cast<int>(ts::protocol::exit_code_for(error.kind));
}

std::filesystem::path own_program() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::filesystem::path("./trainer-supervisor") : path;
}

int run(ts::shell::Options options) {
  const auto file = ts::config::load_config_file(options.config_file);
  if (!file) return refuse(file.error());

  // A terminal that goes away, or a reader that closes its end, must not take the training with it.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);

  ts::shell::Console console(::isatty(STDOUT_FILENO) == 1);
  ts::shell::asio::io_context io(1);
  const auto log = ts::shell::Log::open(file->config.logging, console, io);
  if (!log) return refuse(log.error());

  ts::shell::Supervisor supervisor(io, *file, std::move(options), **log, console);
  const auto opened = supervisor.open();
  if (!opened) return refuse(opened.error());

  ts::shell::asio::signal_set signals(io, SIGINT, SIGTERM);
  std::function<void()> await_signal = [&] {
    signals.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      supervisor.shut_down();
      await_signal();
    });
  };
  await_signal();
  io.run();
  console.finish();
  if (supervisor.left_at_once()) ::_exit(supervisor.exit_code());
  return supervisor.exit_code();
}

ts::cli::ManPage page() {
  return {
      "trainer-supervisor",
      8,
      "keep one training run alive until it is finished",
      ts::api::kVersion,
      {{"SIGNALS",
        "SIGTERM, SIGINT: let the worker save its state and end, then leave; a second one kills the worker.\n\n"
        "SIGHUP: ignored, so that a terminal may go away. supervisorctl reload reads the configuration again."},
       {"EXIT STATUS",
        "  0   stopped as asked, or finished\n  65  the data or a checkpoint cannot be used\n  70  internal error\n"
        "  74  cannot write, or another one has the directory\n  78  the configuration or the command line is wrong"},
       {"ENVIRONMENT",
        "NOTIFY_SOCKET, WATCHDOG_USEC, JOURNAL_STREAM: a service manager's, see sd_notify(3) and systemd.exec(5)."},
       {"FILES",
        "config/config.yaml: the configuration, unless --config names another.\n\nmodels/: checkpoints; "
        "models/.supervisor/: state, events, incidents, the control socket.\n\nlogs/: supervisor.log, worker.log."}},
      {"supervisorctl(1)", "trainer(1)", "trainer-supervisor.yaml(5)", "systemd.service(5)"}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Keeps one training run alive until it is finished: through crashes, hangs, Ctrl+C, reboots and power cuts.\n"
      "Runs in the foreground; SIGTERM or Ctrl+C lets the worker save and end, a second one kills it.",
      "trainer-supervisor"};
  ts::shell::Options options;
  options.own_program = own_program();
  std::string config_file = "config/config.yaml";
  app.add_option("--config", config_file, "Configuration (YAML)")->capture_default_str();
  app.add_flag("--fresh", options.fresh, "Start over; the checkpoints there are set aside, not deleted");
  app.add_flag("--exit-when-done", options.exit_when_done, "Leave when the training is finished or cannot go on");
  app.set_version_flag("--version", ts::api::kVersion);
  app.footer("Example: trainer-supervisor --config config/config.yaml");
  ts::cli::add_man_page(app, page());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (!ts::cli::is_wrong(app, error)) return app.exit(error);
    std::fprintf(stderr, "trainer-supervisor: %s\n", ts::cli::what_is_wrong(app, error).c_str());
    return static_cast<int>(ExitCode::configuration);
  }
  options.config_file = config_file;
  try {
    return run(std::move(options));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "trainer-supervisor: internal error: %s. Please report it.\n", error.what());
    return static_cast<int>(ExitCode::internal);
  }
}
