// Who may ask for what over TCP, where no file's permissions decide: everybody on this machine can connect, and so can
// every page that a browser on it shows. Pure.
//
// - Host must name this machine by a loopback address or as localhost: else a page whose name was made to point here
//   could read the answers (DNS rebinding).
// - Origin, which browsers send for a page of somebody else, must be that of Host.
// - Without the token only what may be known by everybody is answered.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace ts::api {

// How much one who asks may.
enum class Access {
  everything,
  looking,  // at what holds no secrets
};

// The headers that decide. One that stands there more than once is as none.
struct Claims {
  std::string host;
  std::string origin;
  bool has_origin = false;
  std::string authorization;
};

// An error's sentence says why a request is not even looked at.
Result<Access> access_of(const Claims& claims, std::string_view token);

// What is behind "Bearer ", compared in a time that tells nothing of the token. An empty token is nobody's.
bool presents_token(std::string_view authorization, std::string_view token);

}  // namespace ts::api
