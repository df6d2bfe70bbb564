// Following a stream of the supervisor for as long as it takes, restarts of the supervisor included. Internal to
// supervisor/ctl.
//
// Threading: for the program's one thread.
#pragma once

#include <functional>
#include <string>

#include "supervisor/ctl/client.h"
#include "supervisor/ctl/commands.h"

namespace ts::ctl {

// From the next after `place`, and after an interruption from the next after the one got last, so nothing is missed or
// told twice. `goes_on` says where, to a person: "after event 57". Ends only when it is refused.
Exit follow_stream(const Client& client, const std::string& target, std::string place,
                   const std::function<std::string(const std::string& place)>& goes_on,
                   const std::function<void(const api::ServerSent&)>& on_sent);

}  // namespace ts::ctl
