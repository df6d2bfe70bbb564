#include "worker/trading/portfolio.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include "common/base/text.h"

namespace ts::trading {

Position position_of(std::int64_t action) {
  if (action < 0 || action >= kActionCount) {
    throw std::out_of_range("there is no action " + std::to_string(action));
  }
  return static_cast<Position>(action - 1);
}

std::int64_t action_of(Position position) {
  return static_cast<std::int64_t>(position) + 1;
}

double exposure(Position position) {
  return static_cast<double>(position);
}

double turnover(Position from, Position to) {
  return std::abs(exposure(to) - exposure(from));
}

double log_return(double from, double to) {
  return std::log(to / from);
}

double step_reward(Position from, Position to, double market_log_return, double cost) {
  return exposure(to) * market_log_return - cost * turnover(from, to);
}

Result<void> check_cost(double cost) {
  if (cost >= 0.0 && cost <= kCostMax) return {};
  return make_error(ErrorKind::configuration, "the trading cost is " + format_fixed(cost, 4) +
                                                  " of each unit traded; it must be from 0 to " +
                                                  format_fixed(kCostMax, 1));
}

}  // namespace ts::trading
