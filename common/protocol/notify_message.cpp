#include "common/protocol/notify_message.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"

namespace ts::protocol {
namespace {

constexpr std::array<std::pair<Phase, std::string_view>, 4> kPhases = {{
    {Phase::train, "train"},
    {Phase::evaluate, "evaluate"},
    {Phase::save, "save"},
    {Phase::load, "load"},
}};

std::optional<Metrics> parse_metrics(std::string_view text) {
  const auto document = parse_json(text, "X_TRAINER_METRICS", kDatagramBytesMax);
  if (!document) return std::nullopt;
  const auto* object = document->if_object();
  if (object == nullptr) return std::nullopt;
  Metrics metrics;
  for (const auto& member : *object) {
    if (member.value().is_number()) {
      metrics.emplace(std::string(member.key()), member.value().to_number<double>());
    }
  }
  return metrics;
}

// Counts beyond this are nonsense, and arithmetic on them would overflow.
constexpr std::int64_t kCountMax = 1'000'000'000'000'000;

std::optional<std::int64_t> parse_count(std::string_view text) {
  const auto number = parse_plain_integer(text);
  if (!number || *number > kCountMax) return std::nullopt;
  return number;
}

// systemd's rule for the name of a stored descriptor.
bool is_descriptor_name(std::string_view text) {
  constexpr std::size_t kLongest = 255;
  const auto may_stand = [](char c) { return c >= ' ' && c < '\x7f' && c != ':'; };
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, may_stand);
}

bool is_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "xxh3-128:";
  return text.starts_with(kPrefix) && text.size() == kPrefix.size() + 32 &&
         text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

void apply(std::string_view key, std::string_view value, NotifyMessage& message) {
  if (key == "READY") {
    message.ready = message.ready || value == "1";
  } else if (key == "STOPPING") {
    message.stopping = message.stopping || value == "1";
  } else if (key == "WATCHDOG") {
    message.watchdog = message.watchdog || value == "1";
    message.watchdog_trigger = message.watchdog_trigger || value == "trigger";
  } else if (key == "BARRIER") {
    message.barrier = message.barrier || value == "1";
  } else if (key == "FDSTORE") {
    message.fd_store = message.fd_store || value == "1";
  } else if (key == "FDNAME") {
    if (is_descriptor_name(value)) message.fd_name = std::string(value);
  } else if (key == "STATUS") {
    message.status = std::string(value);
  } else if (key == "X_TRAINER_TROUBLE") {
    message.trouble = message.trouble || value == "1";
  } else if (key == "EXTEND_TIMEOUT_USEC") {
    if (const auto usec = parse_count(value)) message.extend_timeout = std::chrono::microseconds(*usec);
  } else if (key == "X_TRAINER_EPISODE") {
    if (const auto number = parse_count(value)) message.episode = number;
  } else if (key == "X_TRAINER_TOTAL") {
    if (const auto number = parse_count(value)) message.total = number;
  } else if (key == "X_TRAINER_STEP") {
    if (const auto number = parse_count(value)) message.step = number;
  } else if (key == "X_TRAINER_PHASE") {
    if (const auto phase = parse_phase(value)) message.phase = phase;
  } else if (key == "X_TRAINER_METRICS") {
    if (auto metrics = parse_metrics(value)) message.metrics = std::move(metrics);
  } else if (key == "X_TRAINER_CHECKPOINT") {
    message.checkpoint = std::string(value);
  } else if (key == "X_TRAINER_RESUMED") {
    if (const auto number = parse_count(value)) message.resumed = number;
  } else if (key == "X_TRAINER_SNAPSHOT") {
    if (auto snapshot = parse_snapshot(value)) message.snapshot = std::move(snapshot);
  }
}

std::string encode_metrics(const Metrics& metrics) {
  boost::json::object object;
  for (const auto& [name, value] : metrics) object[name] = value;
  return compact_json(object);
}

}  // namespace

std::string_view to_string(Phase phase) {
  for (const auto& [value, name] : kPhases) {
    if (value == phase) return name;
  }
  return "train";
}

std::optional<Phase> parse_phase(std::string_view text) {
  for (const auto& [value, name] : kPhases) {
    if (name == text) return value;
  }
  return std::nullopt;
}

std::optional<SnapshotNotice> parse_snapshot(std::string_view record) {
  const auto document = parse_json(record, "X_TRAINER_SNAPSHOT", kDatagramBytesMax);
  const boost::json::object* object = document ? document->if_object() : nullptr;
  if (object == nullptr) return std::nullopt;
  const auto episode = integer_member(*object, "episode");
  const auto bytes = integer_member(*object, "bytes");
  auto digest = string_member(*object, "digest");
  if (!episode || *episode < 1 || *episode > kCountMax) return std::nullopt;
  if (!bytes || *bytes < 1 || *bytes > kCountMax) return std::nullopt;
  if (!digest || !is_digest(*digest)) return std::nullopt;
  const boost::json::object* best = object_member(*object, "best");
  const bool is_best = best != nullptr && integer_member(*best, "episode") == episode;
  return SnapshotNotice{*episode, static_cast<std::uint64_t>(*bytes), std::move(*digest), std::string(record), is_best};
}

Result<NotifyMessage> decode(std::string_view datagram) {
  if (datagram.size() > kDatagramBytesMax) {
    return make_error(ErrorKind::data, "a notification has more than 4096 bytes");
  }
  if (datagram.ends_with('\0')) datagram.remove_suffix(1);
  if (datagram.find('\0') != std::string_view::npos) {
    return make_error(ErrorKind::data, "a notification has a NUL byte inside");
  }
  if (datagram.empty()) return make_error(ErrorKind::data, "a notification is empty");
  NotifyMessage message;
  while (!datagram.empty()) {
    const std::size_t end = datagram.find('\n');
    const std::string_view line = datagram.substr(0, end);
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos) apply(line.substr(0, equals), line.substr(equals + 1), message);
    if (end == std::string_view::npos) break;
    datagram.remove_prefix(end + 1);
  }
  return message;
}

std::string encode(const NotifyMessage& message) {
  std::string out;
  const auto put = [&](std::string_view key, std::string_view value) {
    out.append(key).append("=").append(value).append("\n");
  };
  const auto put_number = [&](std::string_view key, const std::optional<std::int64_t>& number) {
    if (number) put(key, std::to_string(*number));
  };
  if (message.ready) put("READY", "1");
  if (message.stopping) put("STOPPING", "1");
  if (message.watchdog) put("WATCHDOG", "1");
  if (message.watchdog_trigger) put("WATCHDOG", "trigger");
  if (message.barrier) put("BARRIER", "1");
  if (message.fd_store) put("FDSTORE", "1");
  if (message.fd_name) put("FDNAME", *message.fd_name);
  if (message.status) put("STATUS", *message.status);
  if (message.trouble) put("X_TRAINER_TROUBLE", "1");
  if (message.extend_timeout) put("EXTEND_TIMEOUT_USEC", std::to_string(message.extend_timeout->count()));
  put_number("X_TRAINER_EPISODE", message.episode);
  put_number("X_TRAINER_TOTAL", message.total);
  put_number("X_TRAINER_STEP", message.step);
  if (message.phase) put("X_TRAINER_PHASE", to_string(*message.phase));
  if (message.metrics) put("X_TRAINER_METRICS", encode_metrics(*message.metrics));
  if (message.checkpoint) put("X_TRAINER_CHECKPOINT", *message.checkpoint);
  put_number("X_TRAINER_RESUMED", message.resumed);
  if (message.snapshot) put("X_TRAINER_SNAPSHOT", message.snapshot->record);
  return out;
}

NotifyMessage fitted(NotifyMessage message) {
  const auto fits = [&] { return encode(message).size() <= kDatagramBytesMax; };
  if (!message.snapshot || fits()) return message;
  // Longer than a datagram, so not by the rules for what arrives in one.
  constexpr std::size_t kRecordBytesMax = std::size_t{1} << 20;
  auto record = parse_json(message.snapshot->record, "X_TRAINER_SNAPSHOT", kRecordBytesMax);
  boost::json::object* object = record ? record->if_object() : nullptr;
  if (object == nullptr) return message;
  const auto leave_out = [&](std::string_view member) {
    if (fits()) return;
    object->stable_erase(member);
    message.snapshot->record = compact_json(*object);
  };
  leave_out("config");
  leave_out("exactness");
  if (!fits()) message.metrics.reset();
  leave_out("best");
  leave_out("metrics");
  leave_out("run_id");
  return message;
}

}  // namespace ts::protocol
