// Which control sockets are served on this machine: for the sentence that nobody answers on the one that was asked.
//
// Source: proc_net(5), /proc/net/unix. Threading: plain functions. Errors: none; what cannot be read is not there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ts::ctl {

// The names of those that are listened on, as they were given to bind(2). Pure.
std::vector<std::string> control_sockets_in(std::string_view proc_net_unix);

// Those that can be reached by their names from here, without `except`; the first few.
std::vector<std::string> control_sockets_here(const std::string& except);

}  // namespace ts::ctl
