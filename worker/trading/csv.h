// Lines and fields of comma-separated text (RFC 4180), without copying.
//
// A field may be quoted to hold commas; a quoted field may not hold a line break, which no daily price needs and which
// would make "row 17" mean something else than line 17 of the file. Doubled quotes stay doubled in the view that comes
// back: no name or number we look for has any.
//
// Ownership: every view points into the text given. Threading: pure functions. Errors: values, see each function.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace ts::trading {

// Takes the next line off the front of `rest`, without its LF or CRLF. Nothing when `rest` is used up; text that ends
// in a line break has no further, empty line behind it.
std::optional<std::string_view> take_line(std::string_view& rest);

// The fields of one line, blanks around each removed. Refused (false, `fields` unspecified) when a quoted field is
// not closed or is followed by something else than a comma.
bool split_fields(std::string_view line, std::vector<std::string_view>& fields);

// `text` without the spaces and tabs around it.
std::string_view trim_blanks(std::string_view text);

// Equal but for the case of the letters A to Z.
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace ts::trading
