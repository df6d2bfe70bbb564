#include "supervisor/shell/state_file.h"

#include <algorithm>

#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"

namespace ts::shell {
namespace {

namespace json = boost::json;

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kBytesMax = std::size_t{1} << 20;
constexpr std::int64_t kCountMax = 1'000'000'000;
constexpr std::int64_t kPidMax = 1 << 22;  // PID_MAX_LIMIT of 64-bit Linux
constexpr const char* kFile = "state.json";
constexpr const char* kBackup = "state.json.bak";
constexpr const char* kTemporary = "state.json.tmp";
constexpr const char* kRejected = ".rejected";

std::string_view kind_name(core::LaunchFrom::Kind kind) {
  switch (kind) {
    case core::LaunchFrom::Kind::newest: return "newest";
    case core::LaunchFrom::Kind::selector: return "selector";
    case core::LaunchFrom::Kind::fresh: return "fresh";
  }
  return "newest";
}

core::LaunchFrom read_launch(const json::object& object) {
  core::LaunchFrom from;
  const std::string kind = string_member(object, "kind").value_or("newest");
  if (kind == "fresh") from.kind = core::LaunchFrom::Kind::fresh;
  if (kind == "selector") {
    from.kind = core::LaunchFrom::Kind::selector;
    from.selector = string_member(object, "selector").value_or("");
    if (from.selector.empty()) from.kind = core::LaunchFrom::Kind::newest;
  }
  return from;
}

}  // namespace

std::string to_json(const Memory& memory) {
  const core::State& state = memory.state;
  json::object restarts;
  for (const auto& [cause, count] : state.restarts) restarts[core::to_string(cause)] = count;
  json::object next_launch;
  next_launch["kind"] = kind_name(state.next_launch.kind);
  next_launch["selector"] = state.next_launch.selector;
  json::object out;
  out["format"] = kFormat;
  out["run_id"] = memory.run_id;
  out["phase"] = core::to_string(state.phase);
  // Escaped: one malformed letter would make the whole file unreadable, and a living worker forgotten.
  out["reason"] = escape_control(state.reason);
  out["attempt"] = state.attempt;
  out["incidents"] = state.incidents;
  out["attempts_without_progress"] = state.fruitless;
  out["high_water"] = state.high_water;
  out["restarts"] = std::move(restarts);
  json::object gaps;
  for (const auto& [phase, seen] : state.learned) {
    json::object gap;
    gap["longest_ms"] = seen.longest.count();
    gap["seen"] = seen.seen;
    gaps[protocol::to_string(phase)] = std::move(gap);
  }
  out["progress_gaps"] = std::move(gaps);
  json::object poison;
  poison["episode"] = state.poison.episode;
  poison["deaths"] = state.poison.deaths;
  out["suspected_resume_point"] = std::move(poison);
  out["tells_progress"] = state.tells_progress;
  out["goal"] = state.goal;
  out["finished_total"] = state.finished_total;
  out["next_launch"] = std::move(next_launch);
  out["episode"] = state.progress.episode;
  out["resume_episode"] = state.resume.episode;
  out["resume_path"] = escape_control(state.resume.path);
  if (memory.exact) out["exact"] = *memory.exact;
  if (memory.accounts.written_s > 0.0) out["accounts"] = to_json(memory.accounts);
  out["supervisor"] = escape_control(memory.supervisor);
  out["boot_id"] = memory.boot_id;
  out["host"] = escape_control(memory.host);
  if (memory.worker) {
    json::object worker;
    worker["pid"] = memory.worker->pid;
    worker["start_ticks"] = static_cast<std::int64_t>(memory.worker->start_ticks);
    worker["boot_id"] = memory.worker->boot_id;
    out["worker"] = std::move(worker);
  }
  return pretty_json(out);
}

Result<Memory> parse_memory(std::string_view text, std::string_view name) {
  const auto document = parse_json(text, name, kBytesMax);
  if (!document) return document.error();
  const json::object* object = document->if_object();
  if (object == nullptr || integer_member(*object, "format") != kFormat) {
    return make_error(ErrorKind::data, std::string(name) + " is not of format " + std::to_string(kFormat) + ".");
  }
  Memory memory;
  core::State& state = memory.state;
  memory.run_id = string_member(*object, "run_id").value_or("");
  memory.supervisor = string_member(*object, "supervisor").value_or("");
  memory.boot_id = string_member(*object, "boot_id").value_or("");
  memory.host = string_member(*object, "host").value_or("");
  memory.exact = bool_member(*object, "exact");
  // Within bounds, whatever the file says: arithmetic follows.
  const auto number = [&](std::string_view key) {
    return std::clamp<std::int64_t>(integer_member(*object, key).value_or(0), 0, kCountMax);
  };
  state.tells_progress = bool_member(*object, "tells_progress").value_or(false);
  state.attempt = number("attempt");
  state.incidents = number("incidents");
  state.fruitless = number("attempts_without_progress");
  state.high_water = number("high_water");
  state.goal = number("goal");
  state.finished_total = number("finished_total");
  state.progress.episode = number("episode");
  state.resume.episode = number("resume_episode");
  state.resume.path = string_member(*object, "resume_path").value_or("");
  if (const json::object* restarts = object_member(*object, "restarts")) {
    for (const auto& member : *restarts) {
      const auto cause = core::parse_cause(std::string_view(member.key().data(), member.key().size()));
      const auto* count = member.value().if_int64();
      if (cause && count != nullptr && *count > 0) state.restarts[*cause] = std::min(*count, kCountMax);
    }
  }
  if (const json::object* gaps = object_member(*object, "progress_gaps")) {
    for (const auto& member : *gaps) {
      const auto phase = protocol::parse_phase(std::string_view(member.key().data(), member.key().size()));
      const json::object* gap = member.value().if_object();
      if (!phase || gap == nullptr) continue;
      const auto bounded = [&](std::string_view key) {
        return std::clamp<std::int64_t>(integer_member(*gap, key).value_or(0), 0, kCountMax);
      };
      state.learned[*phase] = {core::Duration(bounded("longest_ms")), bounded("seen")};
    }
  }
  if (const json::object* poison = object_member(*object, "suspected_resume_point")) {
    state.poison.episode = std::clamp<std::int64_t>(integer_member(*poison, "episode").value_or(0), 0, kCountMax);
    state.poison.deaths = std::clamp<std::int64_t>(integer_member(*poison, "deaths").value_or(0), 0, kCountMax);
  }
  if (const json::object* next = object_member(*object, "next_launch")) state.next_launch = read_launch(*next);
  if (const json::object* accounts = object_member(*object, "accounts")) memory.accounts = parse_accounts(*accounts);
  if (const json::object* worker = object_member(*object, "worker")) {
    const auto pid = integer_member(*worker, "pid");
    const auto start = integer_member(*worker, "start_ticks");
    const auto boot = string_member(*worker, "boot_id");
    if (pid && start && boot && *pid > 1 && *pid <= kPidMax) {
      memory.worker = ProcessIdentity{static_cast<pid_t>(*pid), static_cast<std::uint64_t>(*start), *boot};
    }
  }
  return memory;
}

Result<> save_memory(const checkpoint::Directory& directory, const Memory& memory, Durable durable) {
  const std::string text = to_json(memory);
  const auto cleared = directory.unlink(kTemporary);
  if (!cleared) return cleared.error();
  const auto bytes = std::as_bytes(std::span(text));
  if (durable == Durable::later) {
    const auto written = directory.write_unsynced(kTemporary, bytes);
    return written ? directory.rename_over(kTemporary, kFile) : written;
  }
  const auto written = directory.write_synced(kTemporary, bytes);
  if (!written) return written.error();
  // The backup is a second link to the old file, so no instant is without a whole one.
  const auto old_gone = directory.unlink(kBackup);
  if (!old_gone) return old_gone.error();
  const auto kept = directory.link_into(kFile, directory, kBackup);
  if (!kept && kept.error().kind != ErrorKind::not_found) return kept.error();
  const auto renamed = directory.rename_over(kTemporary, kFile);
  if (!renamed) return renamed.error();
  return directory.sync();
}

Memory load_memory(const checkpoint::Directory& directory, std::string& note) {
  for (const char* name : {kFile, kBackup}) {
    const auto file = directory.read_file(name, kBytesMax);
    if (!file && file.error().kind == ErrorKind::not_found) continue;
    auto memory = file ? parse_memory(file->text(), directory.path_of(name)) : Result<Memory>(file.error());
    if (memory) return std::move(*memory);
    note +=
        (note.empty() ? "passing over " : " Passing over ") + directory.path_of(name) + ": " + memory.error().message;
    if (memory.error().kind == ErrorKind::unavailable) continue;
    // Kept for whoever wants to know, or goes back to the newer version that wrote it; the next save takes its name.
    const std::string aside = std::string(name) + kRejected;
    const auto kept = directory.rename_over(name, aside);
    if (kept) note += " It is kept as " + directory.path_of(aside) + ".";
  }
  return {};
}

}  // namespace ts::shell
