// Real files: the one that ships, ones that are no files, and what is left of one after damage.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "worker/trading/market_data.h"

namespace ts::trading {
namespace {

namespace fs = std::filesystem;

const fs::path kShipped = fs::path(TS_SOURCE_DIR) / "data" / "sp500-daily.csv";

std::string shipped_text() {
  std::ifstream file(kShipped, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class MarketFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "market-file-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path directory_;
};

// Whatever the bytes: market data that keeps its promises, or a sentence.
void expect_data_or_sentence(std::string_view text) {
  const Result<MarketData> data = parse_market_data(text, "x.csv");
  if (data.has_error()) {
    ASSERT_EQ(data.error().kind, ErrorKind::data);
    ASSERT_TRUE(data.error().message.starts_with("x.csv: ")) << data.error().message;
    return;
  }
  ASSERT_GE(data->rows(), 2U);
  for (const auto* column : {&data->open, &data->high, &data->low, &data->volume}) {
    ASSERT_EQ(column->size(), data->rows());
  }
  ASSERT_EQ(data->dates.size(), data->rows());
  for (std::size_t i = 0; i < data->rows(); ++i) {
    ASSERT_TRUE(data->dates[i].ok());
    ASSERT_TRUE(i == 0 || data->dates[i - 1] < data->dates[i]);
    ASSERT_TRUE(data->close[i] >= kLowestPrice && data->close[i] <= kHighestPrice);
    ASSERT_TRUE(data->volume[i] >= 0);
  }
}

TEST_F(MarketFile, TheDataThatShipsLoadsWhole) {
  const Result<MarketData> data = load_market_data(kShipped);
  ASSERT_TRUE(data.has_value()) << data.error().message;
  EXPECT_EQ(data->rows(), 5105U);
  EXPECT_EQ(format_date(data->dates.front()), "2000-01-03");
  EXPECT_EQ(format_date(data->dates.back()), "2020-04-17");
  EXPECT_DOUBLE_EQ(data->open.front(), 1469.25);
  EXPECT_DOUBLE_EQ(data->close.front(), 1455.219971);
  EXPECT_DOUBLE_EQ(data->high.back(), 2879.219971);
  EXPECT_DOUBLE_EQ(data->low.back(), 2830.879883);
  EXPECT_DOUBLE_EQ(data->volume.back(), 5792140000.0);
}

TEST_F(MarketFile, WhatIsNoReadableFileIsRefusedWithItsName) {
  const fs::path pipe = directory_ / "pipe.csv";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const fs::path loop = directory_ / "loop.csv";
  fs::create_symlink(loop, loop);
  std::ofstream(directory_ / "empty.csv");
  const struct {
    fs::path path;
    std::string says;
  } cases[] = {
      {directory_ / "missing.csv", "there is no such file"},
      {directory_, "it is a directory"},
      {pipe, "not a regular file"},
      {"/dev/zero", "not a regular file"},
      {loop, "cannot be opened"},
      {directory_ / std::string(300, 'n'), "cannot be opened"},
      {directory_ / "empty.csv", "the file is empty"},
  };
  for (const auto& [path, says] : cases) {
    const Result<MarketData> data = load_market_data(path);
    ASSERT_TRUE(data.has_error()) << path;
    EXPECT_EQ(data.error().kind, ErrorKind::data) << path;
    EXPECT_TRUE(data.error().message.starts_with(path.string())) << data.error().message;
    EXPECT_NE(data.error().message.find(says), std::string::npos) << data.error().message;
  }
  EXPECT_EQ(load_market_data("").error().message, "data.path is empty; set it to a CSV file with market data");
}

TEST_F(MarketFile, AFileTooLargeIsRefusedUnread) {
  const fs::path path = directory_ / "huge.csv";
  std::ofstream(path) << "date";
  fs::resize_file(path, kMarketFileBytesMax + 1);  // a hole: no disk space is used
  const Result<MarketData> data = load_market_data(path);
  ASSERT_TRUE(data.has_error());
  EXPECT_NE(data.error().message.find("larger than 1.0 GiB"), std::string::npos) << data.error().message;
}

TEST_F(MarketFile, ACutAnywhereGivesDataOrASentence) {
  const std::string text = shipped_text();
  ASSERT_EQ(text.size(), 415968U);
  for (std::size_t size = 0; size < text.size(); size += size < 400 ? 1 : 4099) {
    expect_data_or_sentence(std::string_view(text).substr(0, size));
    if (HasFatalFailure()) FAIL() << "cut to " << size << " bytes";
  }
  for (std::size_t cut = 0; cut < 200; ++cut) {
    const Result<MarketData> data = parse_market_data(std::string_view(text).substr(0, text.size() - cut), "x.csv");
    // Only a cut inside the last number of a row, or between two rows, can go unnoticed.
    const std::string kept = text.substr(0, text.size() - cut);
    const std::string last = kept.substr(kept.rfind('\n') + 1);
    const bool whole = last.empty() || (std::count(last.begin(), last.end(), ',') == 6 && last.back() != ',');
    EXPECT_EQ(data.has_value(), whole) << last;
    if (data.has_error()) {
      EXPECT_NE(data.error().message.find("row 510"), std::string::npos) << data.error().message;
    }
  }
}

TEST_F(MarketFile, DamagedBytesGiveDataOrASentence) {
  constexpr std::uint32_t kSeed = 20000103;
  std::printf("seed %u\n", kSeed);
  std::mt19937 random(kSeed);
  const std::string text = shipped_text().substr(0, 4000);
  const std::string_view likely = "0123456789,.-\"\r\n eE+\xEF\xBB\xBF\xFF";
  for (int round = 0; round < 4000; ++round) {
    std::string damaged = text;
    for (std::uint32_t changes = 1 + random() % 4; changes > 0; --changes) {
      const std::size_t at = random() % damaged.size();
      const char byte = random() % 4 == 0 ? static_cast<char>(random()) : likely[random() % likely.size()];
      switch (random() % 3) {
        case 0: damaged[at] = byte; break;
        case 1: damaged.insert(at, 1, byte); break;
        default: damaged.erase(at, 1 + random() % 90); break;
      }
    }
    expect_data_or_sentence(damaged);
    if (HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST_F(MarketFile, RandomBytesGiveASentence) {
  constexpr std::uint32_t kSeed = 20200417;
  std::printf("seed %u\n", kSeed);
  std::mt19937 random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    std::string text = round % 2 == 0 ? "" : "date,open,high,low,close,volume\n";
    for (std::size_t size = random() % 300; size > 0; --size) text += static_cast<char>(random());
    const Result<MarketData> data = parse_market_data(text, "x.csv");
    ASSERT_TRUE(data.has_error()) << "round " << round;
    for (const char c : data.error().message) {
      ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace ts::trading
