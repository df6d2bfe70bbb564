#include "bench/support/report.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace ts::bench {

double seconds_between(Clock::time_point begun, Clock::time_point ended) {
  return std::chrono::duration<double>(ended - begun).count();
}

void report(std::string_view figure, std::size_t bytes, std::string_view what, double seconds) {
  const boost::json::object line{{"figure", figure}, {"bytes", bytes}, {"what", what}, {"seconds", seconds}};
  std::printf("%s\n", boost::json::serialize(line).c_str());
  std::fflush(stdout);
}

void give_up(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  std::exit(1);
}

}  // namespace ts::bench
