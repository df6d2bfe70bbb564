#include "common/checkpoint/sidecar.h"

#include <array>
#include <utility>

#include <boost/json/array.hpp>

#include "common/base/json.h"
#include "common/base/text.h"

namespace ts::checkpoint {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<SaveReason, std::string_view>, 7> kReasons = {{
    {SaveReason::schedule, "schedule"},
    {SaveReason::interval, "interval"},
    {SaveReason::signal, "signal"},
    {SaveReason::request, "request"},
    {SaveReason::best, "best"},
    {SaveReason::final, "final"},
    {SaveReason::rescue, "rescue"},
}};

constexpr std::array<std::string_view, 18> kKnownKeys = {
    "format", "episode", "total_episodes", "run_id", "attempt",   "created", "reason",   "metrics",    "epsilon",
    "best",   "file",    "bytes",          "digest", "exactness", "config",  "stall_ms", "durable_ms", "same_state_as"};

bool is_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "xxh3-128:";
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + 32) return false;
  return text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

json::object take_object(json::object& from, std::string_view key) {
  json::value* found = from.if_contains(key);
  return found != nullptr && found->is_object() ? std::move(found->get_object()) : json::object();
}

}  // namespace

std::string_view to_string(SaveReason reason) {
  for (const auto& [value, name] : kReasons) {
    if (value == reason) return name;
  }
  return "schedule";
}

std::optional<SaveReason> parse_save_reason(std::string_view text) {
  for (const auto& [value, name] : kReasons) {
    if (name == text) return value;
  }
  return std::nullopt;
}

std::string to_json(const Sidecar& sidecar) {
  json::object out;
  out["format"] = kSidecarFormat;
  out["episode"] = sidecar.episode;
  out["total_episodes"] = sidecar.total_episodes;
  out["run_id"] = sidecar.run_id;
  out["attempt"] = sidecar.attempt;
  out["created"] = sidecar.created;
  out["reason"] = to_string(sidecar.reason);
  out["metrics"] = sidecar.metrics;
  out["epsilon"] = sidecar.epsilon;
  out["best"] = sidecar.best;
  out["file"] = sidecar.file;
  out["bytes"] = static_cast<std::int64_t>(sidecar.bytes);
  out["digest"] = sidecar.digest;
  out["exactness"] = sidecar.exactness;
  out["config"] = sidecar.config;
  if (sidecar.stall_ms) out["stall_ms"] = *sidecar.stall_ms;
  if (sidecar.durable_ms) out["durable_ms"] = *sidecar.durable_ms;
  if (sidecar.same_state_as > 0) out["same_state_as"] = sidecar.same_state_as;
  for (const auto& member : sidecar.unknown) out[member.key()] = member.value();
  return pretty_json(out);
}

Result<Sidecar> parse_sidecar(std::string_view text, std::string_view name, std::string_view expected_file) {
  const auto refuse = [&](std::string_view why) {
    return make_error(ErrorKind::checkpoint, std::string(name) + " is no usable sidecar: " + std::string(why) + ".");
  };
  auto document = parse_json(text, name, kSidecarBytesMax);
  if (!document) return make_error(ErrorKind::checkpoint, document.error().message);
  json::object* object = document->if_object();
  if (object == nullptr) return refuse("it holds no JSON object");

  const auto format = integer_member(*object, "format");
  if (!format || *format < 1) return refuse("its \"format\" is missing");
  if (*format > kSidecarFormat) {
    return refuse("it is of format " + std::to_string(*format) + ", this program reads up to format " +
                  std::to_string(kSidecarFormat) + "; use a newer trainer-supervisor for it");
  }
  const auto episode = integer_member(*object, "episode");
  const auto run_id = string_member(*object, "run_id");
  const auto file = string_member(*object, "file");
  const auto bytes = integer_member(*object, "bytes");
  const auto digest = string_member(*object, "digest");
  if (!episode || *episode < 0 || *episode > kEpisodeMax) return refuse("its \"episode\" is missing or out of range");
  if (!run_id || run_id->empty()) return refuse("its \"run_id\" is missing");
  if (!file || *file != expected_file) {
    return refuse("its \"file\" is not \"" + std::string(expected_file) + "\"");
  }
  if (!bytes || *bytes <= 0) return refuse("its \"bytes\" is missing");
  if (!digest || !is_digest(*digest)) return refuse("its \"digest\" is missing or malformed");

  Sidecar sidecar;
  sidecar.episode = *episode;
  sidecar.total_episodes = integer_member(*object, "total_episodes").value_or(0);
  sidecar.run_id = *run_id;
  sidecar.attempt = integer_member(*object, "attempt").value_or(0);
  sidecar.created = string_member(*object, "created").value_or("");
  sidecar.reason = parse_save_reason(string_member(*object, "reason").value_or("")).value_or(SaveReason::schedule);
  sidecar.metrics = take_object(*object, "metrics");
  sidecar.epsilon = number_member(*object, "epsilon").value_or(0.0);
  sidecar.best = take_object(*object, "best");
  sidecar.file = *file;
  sidecar.bytes = static_cast<std::uint64_t>(*bytes);
  sidecar.digest = *digest;
  sidecar.exactness = take_object(*object, "exactness");
  sidecar.config = take_object(*object, "config");
  sidecar.stall_ms = number_member(*object, "stall_ms");
  sidecar.durable_ms = number_member(*object, "durable_ms");
  sidecar.same_state_as = integer_member(*object, "same_state_as").value_or(0);
  for (auto& member : *object) {
    const std::string_view key(member.key().data(), member.key().size());
    bool known = false;
    for (const std::string_view candidate : kKnownKeys) known = known || candidate == key;
    if (!known) sidecar.unknown[member.key()] = std::move(member.value());
  }
  return sidecar;
}

bool is_of_newer_format(std::string_view text) {
  const auto document = parse_json(text, "", kSidecarBytesMax);
  const json::object* object = document ? document->if_object() : nullptr;
  return object != nullptr && integer_member(*object, "format").value_or(0) > kSidecarFormat;
}

}  // namespace ts::checkpoint
