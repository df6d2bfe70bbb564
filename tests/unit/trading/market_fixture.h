// Small markets for tests, made without a file.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "worker/trading/market_data.h"

namespace ts::trading {

// Days in a row with these closes; open, high and low equal the close. Volume 1000 unless given.
inline MarketData market_of(const std::vector<double>& close, const std::vector<double>& volume = {}) {
  MarketData data;
  data.name = "fixture.csv";
  for (std::size_t i = 0; i < close.size(); ++i) {
    data.dates.emplace_back(std::chrono::sys_days{std::chrono::year{2001} / 1 / 1} +
                            std::chrono::days{static_cast<int>(i)});
  }
  data.open = data.high = data.low = data.close = close;
  data.volume = volume.empty() ? std::vector<double>(close.size(), 1000.0) : volume;
  return data;
}

// A geometric random walk: the same for the same seed on every machine (only raw draws of the engine are used).
inline MarketData random_market(std::size_t rows, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
  std::vector<double> close;
  std::vector<double> volume;
  double price = 100.0;
  for (std::size_t i = 0; i < rows; ++i) {
    price *= std::exp(0.04 * (uniform() - 0.5));
    close.push_back(price);
    volume.push_back(std::floor(1e6 * (0.5 + uniform())));
  }
  return market_of(close, volume);
}

}  // namespace ts::trading
