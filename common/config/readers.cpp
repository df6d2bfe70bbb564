#include "common/config/readers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "common/base/text.h"
#include "common/config/units.h"

namespace ts::config {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";

bool has_control(std::string_view text) {
  return escape_control(text) != text;
}

std::string shown(const Node& node) {
  switch (node.kind) {
    case Node::Kind::nothing: return "empty";
    case Node::Kind::text: return quote(node.text);
    case Node::Kind::list: return "a list";
    case Node::Kind::map: return "a map";
    case Node::Kind::unusable: break;
  }
  return "this";
}

// The fewest digits that read back as this very number; with an exponent only where it would be long without.
std::string shortest(double value) {
  constexpr std::ptrdiff_t kLong = 20;
  std::array<char, 400> out{};
  auto [end, error] = std::to_chars(out.data(), out.data() + out.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || end - out.data() > kLong) {
    end = std::to_chars(out.data(), out.data() + out.size(), value).ptr;
  }
  return {out.data(), end};
}

std::string describe(const Range& range) {
  return "a number " + std::string(range.above ? "above " : "from ") + shortest(range.low) +
         (range.above ? (range.below ? " and below " : " and at most ") : (range.below ? " to below " : " to ")) +
         shortest(range.high);
}

// A Reader of texts that meet `accepts`.
template <class T, class Accepts>
Reader<T> text_that(std::string expects, Accepts accepts) {
  return {expects,
          [=](const Node& node) -> Reading<T> {
            if (node.kind != Node::Kind::text || !accepts(node.text)) return refuse(node, expects);
            return T(node.text);
          },
          [](const T& value) { return yaml_text(std::filesystem::path(value).native()); }};
}

bool is_number_below(std::string_view digits, std::int64_t limit) {
  const auto value = parse_plain_integer(digits);
  return value && *value < limit;
}

bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= 64 && kDigits.find(text.front()) == std::string_view::npos &&
         text.find_first_not_of(std::string(kDigits) + std::string(kLetters)) == std::string_view::npos;
}

bool is_device(std::string_view text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return true;
  return text.starts_with("cuda:") && is_number_below(text.substr(5), 1024);
}

// 127.a.b.c, [::1] or localhost: from anywhere else the listener must not be reachable.
bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  std::size_t parts = 0;
  for (std::string_view rest = host; parts < 4; ++parts) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    if (!is_number_below(rest.substr(0, dot), 256)) return false;
    if (parts == 0 && rest.substr(0, dot) != "127") return false;
    if (dot == rest.size()) return parts == 3;
    rest.remove_prefix(dot + 1);
  }
  return false;
}

bool is_listener(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return text.empty();
  const std::string_view port = text.substr(colon + 1);
  return is_loopback(text.substr(0, colon)) && port != "0" && is_number_below(port, 65536);
}

// What the supervisor sets for every launch; a value from the configuration would be overwritten without a word.
constexpr std::array<std::string_view, 10> kReserved = {"NOTIFY_SOCKET",
                                                        "WATCHDOG_USEC",
                                                        "WATCHDOG_PID",
                                                        "TRAINER_RUN_ID",
                                                        "TRAINER_ATTEMPT",
                                                        "TRAINER_RESUME_REASON",
                                                        "TRAINER_RESUME_CHECKPOINT",
                                                        "TRAINER_RESUME_EPISODE",
                                                        "TRAINER_STATE_DIRECTORY",
                                                        "TRAINER_STATE_ID"};

std::optional<Refusal> refuse_variable(const Node& name, const Node& value,
                                       const std::map<std::string, std::string>& before) {
  const bool usable = name.kind == Node::Kind::text && !name.text.empty() && !has_control(name.text) &&
                      name.text.find('=') == std::string::npos;
  if (!usable)
    return Refusal{name.place, "needs names that are not empty and have no \"=\" in them, not " + shown(name)};
  if (std::find(kReserved.begin(), kReserved.end(), name.text) != kReserved.end()) {
    return Refusal{name.place, "cannot set " + quote(name.text) + ", which the supervisor sets for each launch"};
  }
  if (before.contains(name.text)) return Refusal{name.place, "has " + quote(name.text) + " twice; keep one"};
  if (value.kind == Node::Kind::text && value.text.find('\0') == std::string::npos) return std::nullopt;
  const Place place = value.kind == Node::Kind::nothing ? name.place : value.place;
  return Refusal{place, "must give " + quote(name.text) + " a text without NUL (\"\" for an empty one), and it is " +
                            shown(value)};
}

}  // namespace

Refusal refuse(const Node& node, const std::string& expects) {
  const std::string quotes = node.kind == Node::Kind::text && node.quoted ? " in quotes" : "";
  return {node.place, "must be " + expects + ", not " + shown(node) + quotes};
}

// Plain only where nobody could take it for anything but these letters.
std::string yaml_text(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kWords = {"null", "Null", "NULL", "true", "false",
                                                             "yes",  "no",   "on",   "off"};
  const bool plain =
      !text.empty() && std::string(kLetters).find(text.front()) != std::string::npos &&
      text.find_first_not_of(std::string(kDigits) + std::string(kLetters) + "./-") == std::string::npos &&
      std::find(kWords.begin(), kWords.end(), text) == kWords.end();
  if (plain) return std::string(text);
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      out += {'\\', letter};
    } else if (byte < 0x20 || byte == 0x7F) {
      out += {'\\', 'x', kHex[byte >> 4U], kHex[byte & 15U]};
    } else {
      out += letter;
    }
  }
  return out + '"';
}

Reader<bool> boolean() {
  const std::string expects = "true or false";
  return {expects,
          [=](const Node& node) -> Reading<bool> {
            if (node.kind != Node::Kind::text || node.quoted) return refuse(node, expects);
            if (node.text == "true") return true;
            if (node.text == "false") return false;
            return refuse(node, expects);
          },
          [](const bool& value) { return std::string(value ? "true" : "false"); }};
}

Reader<double> number(Range range) {
  const std::string expects = describe(range);
  return {expects,
          [=](const Node& node) -> Reading<double> {
            const char* const begin = node.text.data();
            const char* const end = begin + node.text.size();
            double value = 0;
            const auto [stopped, error] = std::from_chars(begin, end, value);
            const bool plain = node.kind == Node::Kind::text && !node.quoted && error == std::errc{} && stopped == end;
            if (!plain || !std::isfinite(value)) return refuse(node, expects);
            const bool inside = (range.above ? value > range.low : value >= range.low) &&
                                (range.below ? value < range.high : value <= range.high);
            if (!inside) return refuse(node, expects);
            return value;
          },
          [](const double& value) { return shortest(value); }};
}

Reader<std::chrono::milliseconds> duration(std::chrono::milliseconds low, std::chrono::milliseconds high) {
  const std::string expects = "a duration from " + duration_text(low) + " to " + duration_text(high) +
                              " with its unit (like 350ms, 30s, 10m, 2h or 7d)";
  return {expects,
          [=](const Node& node) -> Reading<std::chrono::milliseconds> {
            if (node.kind != Node::Kind::text) return refuse(node, expects);
            const auto value = parse_duration(node.text);
            if (!value || *value < low || *value > high) return refuse(node, expects);
            return *value;
          },
          [](const std::chrono::milliseconds& value) { return duration_text(value); }};
}

Reader<std::chrono::milliseconds> duration_or_0s(std::string meaning_of_0s, std::chrono::milliseconds low,
                                                 std::chrono::milliseconds high) {
  const Reader<std::chrono::milliseconds> other = duration(low, high);
  const std::string expects = "0s (" + meaning_of_0s + ") or " + other.expects;
  return {expects,
          [=](const Node& node) -> Reading<std::chrono::milliseconds> {
            if (node.kind == Node::Kind::text) {
              const auto value = parse_duration(node.text);
              if (value && value->count() == 0) return std::chrono::milliseconds{0};
            }
            const auto reading = other.read(node);
            if (std::holds_alternative<Refusal>(reading)) return refuse(node, expects);
            return reading;
          },
          other.write};
}

Reader<std::uint64_t> size(std::uint64_t low, std::uint64_t high) {
  const std::string expects =
      "a size from " + size_text(low) + " to " + size_text(high) + " (like 1048576, 512KiB, 50MiB or 2GiB)";
  return {expects,
          [=](const Node& node) -> Reading<std::uint64_t> {
            if (node.kind != Node::Kind::text) return refuse(node, expects);
            const auto value = parse_size(node.text);
            if (!value || *value < low || *value > high) return refuse(node, expects);
            return *value;
          },
          [](const std::uint64_t& value) { return size_text(value); }};
}

Reader<std::string> text() {
  return text_that<std::string>("a text without NUL",
                                [](std::string_view text) { return text.find('\0') == std::string_view::npos; });
}

Reader<std::filesystem::path> path() {
  return text_that<std::filesystem::path>("a path, not empty and without control characters",
                                          [](std::string_view text) { return !text.empty() && !has_control(text); });
}

Reader<std::string> device() {
  return text_that<std::string>("auto, cpu, cuda or cuda:N", is_device);
}

Reader<std::string> identifier() {
  return text_that<std::string>("a name of letters, digits and _ that does not begin with a digit", is_identifier);
}

Reader<std::string> loopback_listener() {
  return text_that<std::string>("\"\" (none) or a loopback address with a port (like 127.0.0.1:9100 or \"[::1]:9100\")",
                                is_listener);
}

Reader<std::vector<std::string>> command_words() {
  const Reader<std::vector<std::string>> words = list_of(text(), 0, 1000);
  const std::string expects = "a program and its arguments as a list of texts";
  return {expects,
          [=](const Node& node) -> Reading<std::vector<std::string>> {
            if (node.kind != Node::Kind::list) return refuse(node, expects);
            if (!node.items.empty() && node.items[0].kind == Node::Kind::text && node.items[0].text.empty()) {
              return Refusal{node.items[0].place, "must begin with a program, not with an empty text"};
            }
            return words.read(node);
          },
          words.write};
}

Reader<std::map<std::string, std::string>> environment() {
  const std::string expects = "a map of variable names to texts";
  return {expects,
          [=](const Node& node) -> Reading<std::map<std::string, std::string>> {
            if (node.kind != Node::Kind::map) return refuse(node, expects);
            std::map<std::string, std::string> variables;
            for (std::size_t i = 0; i < std::min(node.keys.size(), node.items.size()); ++i) {
              if (auto refusal = refuse_variable(node.keys[i], node.items[i], variables)) return *refusal;
              variables.emplace(node.keys[i].text, node.items[i].text);
            }
            return variables;
          },
          [](const std::map<std::string, std::string>& variables) {
            std::string out;
            for (const auto& [name, value] : variables) {
              out += (out.empty() ? "" : ", ") + yaml_text(name) + ": " + yaml_text(value);
            }
            return "{" + out + "}";
          }};
}

}  // namespace ts::config
