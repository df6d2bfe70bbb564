// JSON as people and programs both read it: Boost.JSON parses, this module prints.
//
// Boost.JSON prints 12.4 as 1.24E1, which no person wants to find in a sidecar; here a double is printed as the
// shortest decimal that reads back to the same value, and a non-finite one as null (RFC 8259 has no NaN).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "common/base/result.h"

namespace ts {

// On one line, without blanks after the separators: for event lines and messages.
std::string compact_json(const boost::json::value& value);

// Indented by two, arrays of scalars on one line, ending in a newline: for files that people read.
std::string pretty_json(const boost::json::value& value);

// Parses a whole document of at most `max_bytes`, nesting of at most 16. Duplicate keys are refused: two readers could
// otherwise see two different documents. So are numbers beyond the greatest double. `name` names the document in the
// error.
Result<boost::json::value> parse_json(std::string_view text, std::string_view name, std::size_t max_bytes);

// Members by name and type: nothing when the member is absent or of another type. Integers must be integers in the
// text, in range; a number member accepts both.
std::optional<std::int64_t> integer_member(const boost::json::object& object, std::string_view key);
std::optional<double> number_member(const boost::json::object& object, std::string_view key);
std::optional<std::string> string_member(const boost::json::object& object, std::string_view key);
std::optional<bool> bool_member(const boost::json::object& object, std::string_view key);
const boost::json::object* object_member(const boost::json::object& object, std::string_view key);

}  // namespace ts
