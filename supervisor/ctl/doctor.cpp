// Each group of checks in a child process with a limit of time, and what came of them told.
#include "supervisor/ctl/doctor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <iterator>
#include <thread>
#include <utility>

#include <boost/json/array.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "common/checkpoint/names.h"
#include "common/config/load.h"
#include "supervisor/ctl/doctor_command.h"

namespace ts::ctl {
namespace doctor {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kLimit{10};
constexpr std::chrono::seconds kPatience{1};  // before it says what it waits for
constexpr std::size_t kAnswerBytesMax = std::size_t{1} << 20;

std::string_view name_of(Level level) {
  switch (level) {
    case Level::ok: return "ok";
    case Level::warning: return "warning";
    case Level::problem: return "problem";
  }
  return "problem";
}

std::string ask_in_child(const std::function<Findings()>& look) {
  json::array out;
  try {
    for (const Finding& finding : look()) out.push_back(to_object(finding));
  } catch (const std::exception& error) {
    out.push_back(to_object({"doctor", Level::problem, std::string("a check failed: ") + error.what() + ".", {}}));
  }
  return compact_json(out);
}

[[noreturn]] void be_the_child(int pipe, const std::function<Findings()>& look) {
  // Whoever reads our output must not wait for a child that hangs.
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {0, 1, 2}) ::dup2(nothing, fd);
  const std::string answer = ask_in_child(look);
  std::size_t written = 0;
  while (written < answer.size()) {
    const ssize_t count = ::write(pipe, answer.data() + written, answer.size() - written);
    if (count <= 0) break;
    written += static_cast<std::size_t>(count);
  }
  ::_exit(0);
}

// What the child wrote until it ended; nothing when it has not ended in time.
std::optional<std::string> wait_for(int pipe, const std::string& what) {
  const auto begun = steady_clock::now();
  bool said = false;
  std::string text;
  while (text.size() < kAnswerBytesMax) {
    const auto spent = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begun);
    if (spent >= kLimit) return std::nullopt;
    const auto left = said ? milliseconds(kLimit) - spent : std::max(milliseconds(kPatience) - spent, milliseconds(0));
    pollfd ready{pipe, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(left.count())) == 0 && !said) {
      std::fprintf(stderr, "supervisorctl: still looking at %s (for %lld s at most) ...\n", what.c_str(),
                   static_cast<long long>(kLimit.count()));
      said = true;
    }
    if (ready.revents == 0) continue;
    std::array<char, 4096> buffer{};
    const ssize_t count = ::read(pipe, buffer.data(), buffer.size());
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

// One that hangs in the kernel does not end even then, so nobody waits for it for long.
void end_or_leave(pid_t child) {
  constexpr int kTries = 20;
  constexpr milliseconds kBetween{5};
  ::kill(child, SIGKILL);
  for (int i = 0; i < kTries && ::waitpid(child, nullptr, WNOHANG) == 0; ++i) std::this_thread::sleep_for(kBetween);
}

}  // namespace

Findings look_bounded(const std::string& check, const std::string& what, const std::function<Findings()>& look) {
  const Finding failed{check, Level::problem, "looking at " + what + " failed.", "Look at it yourself, with ls -l."};
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {failed};
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return {failed};
  if (child == 0) be_the_child(writing.get(), look);
  writing.reset();
  const auto text = wait_for(reading.get(), what);
  if (!text) {
    end_or_leave(child);
    return {{check, Level::problem,
             "looking at " + what + " took longer than " + std::to_string(kLimit.count()) +
                 " s, so the rest of it is not known.",
             "See whether its disk or server answers; the kernel's log (dmesg) may say why not."}};
  }
  ::waitpid(child, nullptr, 0);
  const auto document = parse_json(*text, "a check", kAnswerBytesMax);
  if (!document || !document->is_array()) return {failed};
  Findings out;
  for (const json::value& value : document->get_array()) {
    const auto finding = value.is_object() ? finding_from(value.get_object()) : std::nullopt;
    out.push_back(finding.value_or(failed));
  }
  return out;
}

json::object to_object(const Finding& finding) {
  json::object out;
  out["check"] = finding.check;
  out["level"] = name_of(finding.level);
  out["what"] = finding.what;
  out["todo"] = finding.todo;
  return out;
}

std::optional<Finding> finding_from(const json::object& object) {
  Finding out{string_member(object, "check").value_or(""), Level::ok, string_member(object, "what").value_or(""),
              string_member(object, "todo").value_or("")};
  const auto level = string_member(object, "level");
  for (const Level known : {Level::ok, Level::warning, Level::problem}) {
    if (level != name_of(known)) continue;
    out.level = known;
    return out;
  }
  return std::nullopt;
}

bool has_problem(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const auto& found) { return found.level == Level::problem; });
}

json::object to_document(const Findings& findings) {
  json::array list;
  for (const Finding& finding : findings) list.push_back(to_object(finding));
  const auto count = [&](Level level) {
    return std::count_if(findings.begin(), findings.end(), [&](const auto& found) { return found.level == level; });
  };
  return {{"format", 1},
          {"problems", count(Level::problem)},
          {"warnings", count(Level::warning)},
          {"findings", std::move(list)}};
}

std::string render(const Findings& findings) {
  std::string out;
  for (const Level level : {Level::problem, Level::warning, Level::ok}) {
    for (const Finding& finding : findings) {
      if (finding.level != level) continue;
      const std::string label(name_of(level));
      out += label + std::string(9 - label.size(), ' ') + finding.what + "\n";
      if (!finding.todo.empty()) out += std::string(9, ' ') + "To do: " + finding.todo + "\n";
    }
  }
  const json::object document = to_document(findings);
  const auto number = [&](const char* key, const std::string& noun) {
    const auto count = integer_member(document, key).value_or(0);
    return (count == 0 ? "no" : std::to_string(count)) + " " + noun + (count == 1 ? "" : "s");
  };
  return out + "\n" + number("problems", "problem") + ", " + number("warnings", "warning") + ", " +
         std::to_string(findings.size()) + " findings in all.\n";
}

}  // namespace doctor

namespace {

using doctor::Findings;
using doctor::Level;
using doctor::look_bounded;

void append(Findings& to, Findings more) {
  std::move(more.begin(), more.end(), std::back_inserter(to));
}

Findings judge_config(const std::filesystem::path& file) {
  const auto config = config::load_config(file);
  const std::string name = escape_control(file.string());
  if (!config) return {{"config", Level::problem, config.error().message, "Mend it, or name another with --config."}};
  return {{"config", Level::ok, name + " is right.", {}}};
}

Findings judge_models(const config::Config& config) {
  const auto& models = config.checkpoints.directory;
  Findings out = doctor::judge_directory(doctor::look_at_directory("models", models));
  append(out, doctor::judge_space(doctor::look_at_space(config), config));
  const auto lock = doctor::look_at_lock(models, std::string(checkpoint::kLockFile));
  out.push_back(doctor::judge_lock(lock));
  append(out, doctor::judge_leftovers(doctor::look_at_leftovers(models, !lock.holders.empty())));
  return out;
}

}  // namespace

Exit run_doctor(const std::filesystem::path& config_file, const std::optional<std::filesystem::path>& socket,
                bool as_json) {
  Findings findings =
      look_bounded("config", escape_control(config_file.string()), [&] { return judge_config(config_file); });
  // Read here only after a child could: it hangs no more than that one did.
  const auto loaded =
      doctor::has_problem(findings) ? Result<config::Config>(config::Config{}) : config::load_config(config_file);
  const config::Config config = loaded ? *loaded : config::Config{};
  const bool known = loaded && !doctor::has_problem(findings);
  const auto bounded = [&](const char* check, const std::string& what, const std::function<Findings()>& look) {
    append(findings, look_bounded(check, escape_control(what), look));
  };
  if (known) {
    const auto state = config::resolved_state_directory(config);
    bounded("models", config.checkpoints.directory.string(), [&] { return judge_models(config); });
    bounded("state", state.string(), [&] {
      Findings out = doctor::judge_directory(doctor::look_at_directory("state", state));
      auto lock = doctor::judge_lock(doctor::look_at_lock(state, "lock"));
      lock.check = "state.lock";
      out.push_back(std::move(lock));
      return out;
    });
    bounded("logs", config.logging.directory.string(),
            [&] { return doctor::judge_directory(doctor::look_at_directory("logs", config.logging.directory)); });
    bounded("worker", "the worker and its data", [&] { return doctor::judge_worker(doctor::look_at_worker(config)); });
  }
  bounded("supervisor", "the supervisor", [&] {
    const auto where = socket ? socket : config::control_socket_in(config_file);
    return where ? doctor::judge_supervisor(doctor::look_at_supervisor(*where)) : Findings();
  });
  bounded("machine", "the machine", [&] { return doctor::judge_machine(doctor::look_at_machine(config)); });
  std::fputs((as_json ? pretty_json(doctor::to_document(findings)) : doctor::render(findings)).c_str(), stdout);
  return doctor::has_problem(findings) ? Exit::failed : Exit::ok;
}

}  // namespace ts::ctl
