// Who asks, as far as the system says it: for the audit.
#pragma once

#include <string>

#include <boost/json/object.hpp>

namespace ts::api {

struct Peer {
  long pid = 0;  // of the process at the other end of the unix socket
  long uid = 0;
  std::string address{};  // of a client over TCP, of whom there is nothing else to know; empty: the unix socket
};

// "process 12 of user 0", "127.0.0.1:40312 over TCP"
inline std::string to_text(const Peer& peer) {
  if (!peer.address.empty()) return peer.address + " over TCP";
  return "process " + std::to_string(peer.pid) + " of user " + std::to_string(peer.uid);
}

// The members of an event that say who.
inline boost::json::object to_details(const Peer& peer) {
  if (!peer.address.empty()) return {{"pid", nullptr}, {"uid", nullptr}, {"address", peer.address}};
  return {{"pid", peer.pid}, {"uid", peer.uid}};
}

}  // namespace ts::api
