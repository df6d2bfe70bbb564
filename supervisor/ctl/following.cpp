#include "supervisor/ctl/following.h"

#include <chrono>
#include <cstdio>
#include <thread>

#include "common/base/text.h"
#include "supervisor/ctl/answers.h"

namespace ts::ctl {
namespace {

constexpr std::chrono::milliseconds kBetweenTries{300};

}  // namespace

Exit follow_stream(const Client& client, const std::string& target, std::string place,
                   const std::function<std::string(const std::string& place)>& goes_on,
                   const std::function<void(const api::ServerSent&)>& on_sent) {
  bool waiting = false;
  const auto on_open = [&] {
    if (waiting) std::fprintf(stderr, "supervisorctl: it is back; going on %s.\n", goes_on(place).c_str());
    waiting = false;
  };
  const auto on_event = [&](const api::ServerSent& sent) {
    place = escape_control(sent.id);
    on_sent(sent);
    std::fflush(stdout);
  };
  while (true) {
    const auto ended = client.follow(target, place, on_open, on_event);
    if (ended && ended->status != 200) return complain(detail_in(*ended), Exit::failed);
    if (!ended && ended.error().kind != ErrorKind::unavailable) return complain(ended.error());
    if (!waiting) std::fprintf(stderr, "supervisorctl: the supervisor has gone; waiting for it to come back.\n");
    waiting = true;
    std::this_thread::sleep_for(kBetweenTries);
  }
}

}  // namespace ts::ctl
