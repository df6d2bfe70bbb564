#include "common/base/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

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

// Builds the document as Boost.JSON's own parser does, and sees what that one does not tell. Of two equal keys the last
// is kept, so members are counted as they are read and compared with what was kept. Decimals are read a few last digits
// off and 1e400 as infinity (until 1.83 there is no precise mode), so they are read again by from_chars.
class StrictBuilder {
 public:
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = 64 * 1024;
  static constexpr std::size_t max_string_size = json::string::max_size();

  StrictBuilder() : stack_(json::storage_ptr(), room_.data(), room_.size()) { stack_.reset(); }

  json::value release() { return stack_.release(); }  // REQUIRES: the whole document was read
  std::size_t keys() const { return keys_; }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_object_end(std::size_t members, json::error_code&) {
    keys_ += members;
    stack_.push_object(members);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t items, json::error_code&) {
    stack_.push_array(items);
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return on_part(part); }
  bool on_key(json::string_view last_part, std::size_t, json::error_code&) {
    stack_.push_key(last_part);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return on_part(part); }
  bool on_string(json::string_view last_part, std::size_t, json::error_code&) {
    stack_.push_string(last_part);
    return true;
  }
  bool on_number_part(json::string_view text, json::error_code&) {
    number_.append(text.data(), text.size());
    return true;
  }
  bool on_int64(std::int64_t number, json::string_view, json::error_code&) {
    stack_.push_int64(number);
    return end_number();
  }
  bool on_uint64(std::uint64_t number, json::string_view, json::error_code&) {
    stack_.push_uint64(number);
    return end_number();
  }
  bool on_double(double rough, json::string_view text, json::error_code& error) {
    number_.append(text.data(), text.size());
    double exact = 0.0;
    const auto [end, status] = std::from_chars(number_.data(), number_.data() + number_.size(), exact);
    if (status == std::errc::result_out_of_range) exact = std::fabs(rough) < 1.0 ? 0.0 : rough;
    if (!std::isfinite(exact)) {
      error = json::error::exponent_overflow;
      return false;
    }
    stack_.push_double(exact);
    return end_number();
  }
  bool on_bool(bool value, json::error_code&) {
    stack_.push_bool(value);
    return true;
  }
  bool on_null(json::error_code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool on_part(json::string_view part) {
    stack_.push_chars(part);
    return true;
  }
  bool end_number() {
    number_.clear();
    return true;
  }

  std::array<unsigned char, 4096> room_;  // of the stack, which grows beyond it where it must
  json::value_stack stack_;
  std::string number_;
  std::size_t keys_ = 0;
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
  json::basic_parser<StrictBuilder> parser(options);
  const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (!error && read < text.size()) error = json::error::extra_data;
  if (error) return refuse(error.message());
  json::value value = parser.handler().release();
  if (parser.handler().keys() != count_keys(value)) return refuse("a key appears twice in one object");
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
