#include "worker/trading/environment.h"

#include <stdexcept>
#include <string>

namespace ts::trading {

Result<Environment> Environment::create(const MarketData& data, Span split, std::size_t episode_length, double cost) {
  if (split.end < split.begin || split.end >= data.rows()) {
    throw std::out_of_range("the split reaches past the market data");
  }
  if (const Result<void> checked = check_cost(cost); checked.has_error()) return checked.error();
  if (episode_length == 0 || episode_length > split.size()) {
    return make_error(ErrorKind::configuration, "the episode length is " + std::to_string(episode_length) +
                                                    " days; it must be from 1 to " + std::to_string(split.size()) +
                                                    ", the decision days of the training split");
  }
  return Environment(data.close, split, episode_length, cost);
}

void Environment::start(std::size_t day) {
  if (day < first_start() || day - first_start() >= start_count()) {
    throw std::out_of_range("no episode can start on day " + std::to_string(day));
  }
  day_ = day;
  end_day_ = day + episode_length_;
  position_ = Position::flat;
}

Step Environment::step(std::int64_t action) {
  if (done()) throw std::logic_error("the episode is over; start the next one");
  const Position chosen = position_of(action);
  Step result;
  result.reward = step_reward(position_, chosen, log_return(close_[day_], close_[day_ + 1]), cost_);
  position_ = chosen;
  ++day_;
  result.next_day = day_;
  result.next_position = position_;
  result.done = done();
  return result;
}

}  // namespace ts::trading
