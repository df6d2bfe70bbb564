// What the configuration tests share. Threading: single-threaded. Errors: none.
#pragma once

#include <string>
#include <string_view>

#include "common/config/load.h"

namespace ts::config {

// The whole message of a refused text, its file called "f"; empty when the text is accepted.
inline std::string message_of(std::string_view yaml) {
  const auto config = parse_config(yaml, "f");
  return config ? std::string() : config.error().message;
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace ts::config
