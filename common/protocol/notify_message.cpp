#include "common/protocol/notify_message.h"

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
  } else if (key == "STATUS") {
    message.status = std::string(value);
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
  if (message.status) put("STATUS", *message.status);
  if (message.extend_timeout) put("EXTEND_TIMEOUT_USEC", std::to_string(message.extend_timeout->count()));
  put_number("X_TRAINER_EPISODE", message.episode);
  put_number("X_TRAINER_TOTAL", message.total);
  put_number("X_TRAINER_STEP", message.step);
  if (message.phase) put("X_TRAINER_PHASE", to_string(*message.phase));
  if (message.metrics) put("X_TRAINER_METRICS", encode_metrics(*message.metrics));
  if (message.checkpoint) put("X_TRAINER_CHECKPOINT", *message.checkpoint);
  put_number("X_TRAINER_RESUMED", message.resumed);
  return out;
}

}  // namespace ts::protocol
