#include "supervisor/api/listening.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "common/base/text.h"

namespace ts::api {
namespace {

using boost::asio::ip::tcp;

std::optional<tcp::endpoint> endpoint_of(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string host(address.substr(0, colon));
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(host, error);
  const auto port = parse_plain_integer(address.substr(colon + 1));
  if (error || !parsed.is_loopback() || !port || *port < 1 || *port > 65535) return std::nullopt;
  return tcp::endpoint(parsed, static_cast<std::uint16_t>(*port));
}

}  // namespace

Result<UniqueFd> listen_on_unix(const std::filesystem::path& path) {
  const std::string name = path.string();
  const auto fail = [&](std::string_view what, int error) {
    return make_error(ErrorKind::unavailable, "could not " + std::string(what) + " the control socket " +
                                                  escape_control(name) + ": " + std::strerror(error) + ".");
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) {
    return make_error(ErrorKind::configuration, "the path of the control socket " + escape_control(name) +
                                                    " is too long; set supervisor.control_socket to a shorter one.");
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail("create", errno);
  struct stat old {};
  if (::lstat(name.c_str(), &old) == 0) {
    if (!S_ISSOCK(old.st_mode)) return fail("replace, since it is no socket,", EEXIST);
    // Two configurations may name one socket: whoever answers on it lives.
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return make_error(ErrorKind::locked, "another supervisor answers on " + escape_control(name) +
                                               "; set supervisor.control_socket to a path of its own.");
    }
    ::unlink(name.c_str());
  }
  // The mode is set before the socket exists: changing it afterwards would leave a moment for everybody.
  const mode_t old_mask = ::umask(0117);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int bind_error = errno;
  ::umask(old_mask);
  if (bound != 0) return fail("bind", bind_error);
  if (::listen(fd.get(), SOMAXCONN) != 0) return fail("listen on", errno);
  return fd;
}

Result<UniqueFd> listen_on_loopback(const std::string& address) {
  const auto endpoint = endpoint_of(address);
  if (!endpoint) {
    return make_error(ErrorKind::configuration,
                      "http.listen must be a loopback address with a port, not \"" + escape_control(address) + "\".");
  }
  const auto fail = [&](std::string_view what, int error) {
    return make_error(error == EADDRINUSE ? ErrorKind::locked : ErrorKind::unavailable,
                      "could not " + std::string(what) + " " + address + " (http.listen): " + std::strerror(error) +
                          (error == EADDRINUSE ? "; free that port or choose another one." : "."));
  };
  UniqueFd fd(::socket(endpoint->data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail("create a socket for", errno);
  // Connections of an earlier supervisor may still be closing.
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(fd.get(), endpoint->data(), static_cast<socklen_t>(endpoint->size())) != 0) return fail("bind", errno);
  if (::listen(fd.get(), SOMAXCONN) != 0) return fail("listen on", errno);
  return fd;
}

}  // namespace ts::api
