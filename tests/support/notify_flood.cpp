// A flood of datagrams for a heartbeat socket, as fast as this machine can send them (tests/integration).
//
//   notify_flood SOCKET
//
// Sends without waiting for a full queue until SIGTERM, then prints how many were tried and how many got in.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace {

volatile std::sig_atomic_t over = 0;

void end(int) {
  over = 1;
}

}  // namespace

int main(int argc, char** argv) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (argc != 2 || std::strlen(argv[1]) >= sizeof address.sun_path) return 2;
  std::strcpy(address.sun_path, argv[1]);
  std::signal(SIGTERM, end);
  const int sender = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::connect(sender, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror("connect");
    return 1;
  }
  constexpr std::string_view text = "X_TRAINER_EPISODE=777777\nWATCHDOG=trigger";
  std::uint64_t tried = 0;
  std::uint64_t sent = 0;
  while (over == 0) {
    if (::send(sender, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) ++sent;
    ++tried;
  }
  std::printf("tried %llu sent %llu\n", static_cast<unsigned long long>(tried), static_cast<unsigned long long>(sent));
  return 0;
}
