// The token that a client over TCP presents to be allowed what the control socket's clients are: http.token in the
// state directory, one line, for its owner's eyes only. Made when there is none; one that an administrator put there is
// used.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"

namespace ts::shell {

inline constexpr const char* kTokenFile = "http.token";

// Errors: it cannot be read or made, others may read it, or it is no token.
Result<std::string> load_http_token(const checkpoint::Directory& state_directory);

}  // namespace ts::shell
