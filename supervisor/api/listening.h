// The sockets on which the control API listens. Internal to supervisor/api.
//
// Errors: sentences; `locked` when somebody else answers there, `configuration` when the place can never do.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace ts::api {

// A unix socket of mode 0660. A dead one's is replaced, anything else is left alone.
Result<UniqueFd> listen_on_unix(const std::filesystem::path& path);

// "127.0.0.1:9100", "[::1]:9100", "localhost:9100"; an address that is not this machine's alone is refused, whatever
// the configuration let through.
Result<UniqueFd> listen_on_loopback(const std::string& address);

}  // namespace ts::api
