// Server-sent events, the text/event-stream format: written by the supervisor, read by supervisorctl. Pure.
//
// Source: WHATWG HTML, 9.2 "Server-sent events" (html.spec.whatwg.org/multipage/server-sent-events.html).
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace ts::api {

struct ServerSent {
  std::string id;     // where a reader that was cut off goes on; without NUL and newline
  std::string event;  // what kind; empty: "message"
  std::string data;   // any text; each of its lines becomes a line

  bool operator==(const ServerSent&) const = default;
};

std::string frame(const ServerSent& sent);

// A line that means nothing, so that both ends know that the other is there.
std::string comment_frame(std::string_view text);

// Takes the bytes as they come, however they are cut.
class ServerSentReader {
 public:
  using OnEvent = std::function<void(const ServerSent&)>;
  explicit ServerSentReader(OnEvent on_event) : on_event_(std::move(on_event)) {}

  // False: a line or an event beyond its bound; what comes after that is not looked at.
  bool feed(std::string_view bytes);

 private:
  void line(std::string_view line);

  OnEvent on_event_;
  std::string line_;
  bool after_cr_ = false;
  bool begun_ = false;
  bool broken_ = false;
  bool has_data_ = false;
  std::string last_id_;  // stays until another comes
  std::string event_;
  std::string data_;
};

}  // namespace ts::api
