// The newest events that somebody wants to see, however many others there are.
#include "supervisor/ctl/event_filter.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace ts::ctl {
namespace {

namespace json = boost::json;

json::object event(std::int64_t id, const char* type, const char* level) {
  return {{"id", id}, {"type", type}, {"level", level}};
}

// `others` checkpoints behind each incident, as GET /v1/events would tell of them.
FetchEvents journal(std::int64_t incidents, std::int64_t others) {
  std::vector<json::object> all;
  for (std::int64_t i = 0; i < incidents; ++i) {
    all.push_back(event(static_cast<std::int64_t>(all.size()) + 1, "incident", "warn"));
    for (std::int64_t j = 0; j < others; ++j) {
      all.push_back(event(static_cast<std::int64_t>(all.size()) + 1, "checkpoint", "debug"));
    }
  }
  return [all](std::optional<std::int64_t> since, std::size_t limit) -> Result<FetchedEvents> {
    FetchedEvents out{{}, static_cast<std::int64_t>(all.size())};
    auto first = all.end() - static_cast<std::ptrdiff_t>(std::min(all.size(), limit));
    if (since) first = all.begin() + static_cast<std::ptrdiff_t>(*since);
    const auto count = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(limit), all.end() - first);
    out.events.assign(first, first + count);
    return out;
  };
}

std::vector<std::int64_t> ids(const Result<FetchedEvents>& found) {
  std::vector<std::int64_t> out;
  for (const json::object& one : found->events) out.push_back(one.at("id").as_int64());
  return out;
}

TEST(TheNewestEvents, AreFoundBehindAnyNumberOfOthers) {
  const EventFilter serious{"info", {}};
  EXPECT_EQ(ids(newest_events(journal(30, 2), serious, 2)), (std::vector<std::int64_t>{85, 88}));
  EXPECT_EQ(ids(newest_events(journal(5, 1500), serious, 3)), (std::vector<std::int64_t>{3003, 4504, 6005}));
  EXPECT_EQ(ids(newest_events(journal(2, 1500), serious, 20)), (std::vector<std::int64_t>{1, 1502}));
  EXPECT_EQ(newest_events(journal(5, 1500), serious, 3)->newest, 7505) << "where following goes on";
  EXPECT_TRUE(ids(newest_events(journal(0, 0), serious, 20)).empty());
  EXPECT_EQ(ids(newest_events(journal(2, 3), EventFilter{}, 3)), (std::vector<std::int64_t>{6, 7, 8}));
  EXPECT_TRUE(ids(newest_events(journal(2, 3), serious, 0)).empty());
}

TEST(AFilterOfEvents, IsByLevelAndType) {
  const auto filter = parse_event_filter("warn", "incident,state");
  ASSERT_TRUE(filter);
  EXPECT_TRUE(filter->passes(event(1, "incident", "warn")));
  EXPECT_TRUE(filter->passes(event(1, "state", "error")));
  EXPECT_FALSE(filter->passes(event(1, "state", "info")));
  EXPECT_FALSE(filter->passes(event(1, "hook", "error")));
  EXPECT_TRUE(filter->passes(event(1, "state", "of a later version")));
  const auto refused = parse_event_filter("debug", "incidnet");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("there is no type of event incidnet; there are supervisor, state"),
            std::string::npos)
      << refused.error().message;
}

}  // namespace
}  // namespace ts::ctl
