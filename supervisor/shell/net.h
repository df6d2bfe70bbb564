// Asio's names in one place.
#pragma once

#include <boost/asio.hpp>

namespace ts::shell {

namespace asio = boost::asio;

}  // namespace ts::shell
