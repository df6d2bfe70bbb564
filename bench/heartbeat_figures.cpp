// What a beat costs the training loop: Heartbeat::step while the rate holds it back, and when it sends. The receiver is
// a socket as the supervisor's (credentials wanted), with a thread asleep in it that each beat wakes. One line for each
// figure: the mean of many calls where a call is too short for the clock, the median of single ones where it is not.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/support/report.h"
#include "common/base/unique_fd.h"
#include "worker/session/heartbeat.h"

namespace {

using namespace std::chrono_literals;
using ts::session::Heartbeat;

constexpr int kHeldBack = 20'000'000;
constexpr int kSent = 4'000;
// Long enough for the receiver to be asleep again.
constexpr auto kBetweenBeats = 100us;

class Receiver {
 public:
  explicit Receiver(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int on = 1;
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ts::bench::give_up({ts::ErrorKind::unavailable, "could not listen on " + path});
    }
    thread_ = std::thread([this] { receive(); });
  }
  ~Receiver() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  int heard() const { return heard_.load(); }

 private:
  void receive() {
    char text[4096];
    alignas(cmsghdr) char ancillary[256];
    for (;;) {
      iovec part{text, sizeof text};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = ancillary;
      message.msg_controllen = sizeof ancillary;
      if (::recvmsg(fd_.get(), &message, 0) <= 0) return;
      ++heard_;
    }
  }

  ts::UniqueFd fd_;
  std::atomic<int> heard_{0};
  std::thread thread_;
};

double seconds_held_back(const std::string& path) {
  Heartbeat heartbeat(ts::protocol::NotifySender(path.c_str()), 1h);
  std::int64_t step = 0;
  heartbeat.step(step);  // the first one is sent
  const double all = ts::bench::seconds_of([&] {
    for (int i = 0; i < kHeldBack; ++i) heartbeat.step(++step);
  });
  return all / kHeldBack;
}

double seconds_sent(const std::string& path, const Receiver& receiver) {
  Heartbeat heartbeat(ts::protocol::NotifySender(path.c_str()), 0ms);
  std::vector<double> times;
  for (std::int64_t step = 1; step <= kSent; ++step) {
    const int before = receiver.heard();
    times.push_back(ts::bench::seconds_of([&] { heartbeat.step(step); }));
    while (receiver.heard() == before) std::this_thread::yield();  // a full queue would be no sending
    std::this_thread::sleep_for(kBetweenBeats);
  }
  const auto middle = times.begin() + kSent / 2;
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"What a beat costs the training loop."};
  std::string directory = ".";
  app.add_option("--directory", directory, "Where the socket is made")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const std::string path = directory + "/beat-" + std::to_string(::getpid()) + ".sock";
  {
    const Receiver receiver(path);
    ts::bench::report("beat", 0, "ours: held back by the rate", seconds_held_back(path));
    ts::bench::report("beat", 0, "ours: sent", seconds_sent(path, receiver));
  }
  ::unlink(path.c_str());
  return 0;
}
