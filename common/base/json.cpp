#include "common/base/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>
#include <vector>

#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>

namespace ts {
namespace {

namespace json = boost::json;

constexpr std::size_t kDepthMax = 16;

void print_double(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 512> text{};
  // Plain notation in the range people read, scientific beyond it.
  const double magnitude = std::fabs(value);
  const bool plain = magnitude == 0.0 || (magnitude >= 1e-6 && magnitude < 1e15);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, format);
  std::string_view printed(text.data(), static_cast<std::size_t>(end - text.data()));
  out += error == std::errc{} ? printed : std::string_view("null");
  // A double stays a double when it is read back.
  if (printed.find_first_of(".e") == std::string_view::npos) out += ".0";
}

bool all_scalars(const json::array& array) {
  return std::none_of(array.begin(), array.end(),
                      [](const json::value& item) { return item.is_object() || item.is_array(); });
}

// indent < 0 prints on one line.
void print(const json::value& value, int indent, std::string& out) {
  const bool pretty = indent >= 0;
  const auto newline = [&](int depth) {
    if (pretty) out += "\n" + std::string(static_cast<std::size_t>(depth) * 2, ' ');
  };
  const int inner = pretty ? indent + 1 : -1;
  if (const auto* object = value.if_object()) {
    out += '{';
    bool first = true;
    for (const auto& member : *object) {
      if (!first) out += ',';
      first = false;
      newline(inner);
      out += json::serialize(member.key());
      out += pretty ? ": " : ":";
      print(member.value(), inner, out);
    }
    if (!first) newline(indent);
    out += '}';
  } else if (const auto* array = value.if_array()) {
    const bool one_line = !pretty || all_scalars(*array);
    out += '[';
    bool first = true;
    for (const json::value& item : *array) {
      if (!first) out += one_line && pretty ? ", " : ",";
      first = false;
      if (!one_line) newline(inner);
      print(item, one_line ? -1 : inner, out);
    }
    if (!first && !one_line) newline(indent);
    out += ']';
  } else if (const auto* number = value.if_double()) {
    print_double(*number, out);
  } else {
    out += json::serialize(value);
  }
}

// What Boost.JSON's own document does not tell. It keeps the last of two equal keys, so members are counted while
// parsing and compared with what was kept. It reads decimals a few last digits off and 1e400 as infinity (until 1.83
// there is no precise mode), so they are read again by from_chars, in the order of the text.
class SecondLook {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = 64 * 1024;
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  std::size_t keys = 0;
  std::vector<double> doubles;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_object_end(std::size_t members, json::error_code&) {
    keys += members;
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t, json::error_code&) { return true; }
  bool on_key_part(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_key(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_number_part(json::string_view text, json::error_code&) {
    number_.append(text.data(), text.size());
    return true;
  }
  bool on_int64(std::int64_t, json::string_view, json::error_code&) { return end_number(); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return end_number(); }
  bool on_double(double rough, json::string_view text, json::error_code& error) {
    number_.append(text.data(), text.size());
    double exact = 0.0;
    const auto [end, status] = std::from_chars(number_.data(), number_.data() + number_.size(), exact);
    if (status == std::errc::result_out_of_range) exact = std::fabs(rough) < 1.0 ? 0.0 : rough;
    if (!std::isfinite(exact)) {
      error = json::error::exponent_overflow;
      return false;
    }
    doubles.push_back(exact);
    return end_number();
  }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool end_number() {
    number_.clear();
    return true;
  }

  std::string number_;
};

std::size_t count_keys(const json::value& value) {
  std::size_t count = 0;
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) count += 1 + count_keys(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const json::value& item : *array) count += count_keys(item);
  }
  return count;
}

// An object keeps its members in the order of the text, so the n-th double of the walk is the n-th one read.
void put_doubles(json::value& value, const std::vector<double>& doubles, std::size_t& next) {
  if (auto* object = value.if_object()) {
    for (auto& member : *object) put_doubles(member.value(), doubles, next);
  } else if (auto* array = value.if_array()) {
    for (json::value& item : *array) put_doubles(item, doubles, next);
  } else if (auto* number = value.if_double()) {
    if (next < doubles.size()) *number = doubles[next++];
  }
}

}  // namespace

std::string compact_json(const json::value& value) {
  std::string out;
  print(value, -1, out);
  return out;
}

std::string pretty_json(const json::value& value) {
  std::string out;
  print(value, 0, out);
  out += '\n';
  return out;
}

Result<json::value> parse_json(std::string_view text, std::string_view name, std::size_t max_bytes) {
  const auto refuse = [&](std::string_view why) {
    return make_error(ErrorKind::data, std::string(name) + " is not usable JSON: " + std::string(why) + ".");
  };
  if (text.size() > max_bytes) {
    return refuse("it has " + std::to_string(text.size()) + " bytes, more than the " + std::to_string(max_bytes) +
                  " allowed");
  }
  json::parse_options options;
  options.max_depth = kDepthMax;
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return refuse(error.message());

  json::basic_parser<SecondLook> second(options);
  second.write_some(false, text.data(), text.size(), error);
  if (error) return refuse(error.message());
  if (second.handler().keys != count_keys(value)) return refuse("a key appears twice in one object");
  std::size_t next = 0;
  put_doubles(value, second.handler().doubles, next);
  return value;
}

std::optional<std::int64_t> integer_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = value->if_int64()) return *number;
  return std::nullopt;
}

std::optional<double> number_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

std::optional<std::string> string_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<bool> bool_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_bool()) return std::nullopt;
  return value->get_bool();
}

const json::object* object_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

}  // namespace ts
