#include "supervisor/api/gate.h"

#include <algorithm>

#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/string.hpp>

#include "common/base/text.h"

namespace ts::api {
namespace {

constexpr std::string_view kScheme = "Bearer ";

// "127.0.0.1:9100", "[::1]:9100", "localhost"
bool is_this_machine(std::string_view host) {
  const std::size_t closing = host.starts_with('[') ? host.find(']') : 0;
  if (closing == std::string_view::npos) return false;
  const std::size_t colon = std::min(host.find(':', closing), host.size());
  const std::string_view port = host.substr(std::min(host.size(), colon + 1));
  const bool port_is_fine = colon == host.size() || parse_plain_integer(port).has_value();
  std::string_view name = host.substr(0, colon);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(name), error);
  return port_is_fine && (boost::beast::iequals(name, "localhost") || (!error && address.is_loopback()));
}

}  // namespace

bool presents_token(std::string_view authorization, std::string_view token) {
  if (token.empty() || authorization.size() != kScheme.size() + token.size()) return false;
  if (!boost::beast::iequals(authorization.substr(0, kScheme.size()), kScheme)) return false;
  const std::string_view given = authorization.substr(kScheme.size());
  unsigned difference = 0;
  for (std::size_t i = 0; i < token.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(token[i]);
  }
  return difference == 0;
}

Result<Access> access_of(const Claims& claims, std::string_view token) {
  if (!is_this_machine(claims.host)) {
    return make_error(ErrorKind::data, "Over TCP the header Host must name this machine once, as localhost or by a " +
                                           std::string("loopback address, and it is \"") + escape_control(claims.host) +
                                           "\".");
  }
  if (claims.has_origin && !boost::beast::iequals(claims.origin, "http://" + claims.host)) {
    return make_error(ErrorKind::data,
                      "A page of another origin may not ask: Origin is \"" + escape_control(claims.origin) + "\".");
  }
  return presents_token(claims.authorization, token) ? Access::everything : Access::looking;
}

}  // namespace ts::api
