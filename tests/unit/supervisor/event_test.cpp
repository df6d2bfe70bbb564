// Events as lines, in memory and by their numbers.
#include "supervisor/api/event.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "common/base/json.h"
#include "supervisor/api/event_ring.h"

namespace ts::api {
namespace {

Event crash() {
  Event event;
  event.id = 7;
  event.time = "2026-01-31T12:34:56.789Z";
  event.type = EventType::incident;
  event.level = EventLevel::warn;
  event.message = "worker 12 was killed by signal 9 (SIGKILL); relaunching at once";
  event.run_id = "0123abcd";
  event.attempt = 3;
  event.episode = 257;
  event.details = {{"cause", "crash"}, {"folder", nullptr}};
  return event;
}

TEST(AnEvent, HasTheMembersThatProgramsCountOn) {
  const EventLine line = to_line(crash());
  EXPECT_EQ(line.id, 7);
  EXPECT_EQ(line.type, "incident");
  EXPECT_EQ(line.json,
            R"({"id":7,"time":"2026-01-31T12:34:56.789Z","type":"incident","level":"warn",)"
            R"("message":"worker 12 was killed by signal 9 (SIGKILL); relaunching at once","run_id":"0123abcd",)"
            R"("attempt":3,"episode":257,"details":{"cause":"crash","folder":null}})");
}

TEST(AnEvent, P7_IsOneLineOfCleanTextWhateverItsTextsHold) {
  Event event = crash();
  event.message = "a\nb\x1b[31m\xff";
  event.details["path"] = "x\ny\xfe";
  event.details["list"] = boost::json::array{"\x07"};
  const EventLine line = to_line(event);
  for (const char letter : line.json) EXPECT_GE(static_cast<unsigned char>(letter), 0x20) << line.json;
  const auto read = parse_event_line(line.json);
  ASSERT_TRUE(read) << line.json;
  EXPECT_EQ(read->json, line.json);
  EXPECT_NE(line.json.find(R"("message":"a\\x0ab\\x1b[31m\\xff")"), std::string::npos) << line.json;
}

TEST(AnEvent, P7_StaysWithinItsBound) {
  Event event = crash();
  event.message = std::string(100'000, 'm');
  for (int i = 0; i < 100; ++i) event.details["text" + std::to_string(i)] = std::string(5'000, 'd');
  const EventLine line = to_line(event);
  EXPECT_LE(line.json.size(), kEventBytesMax);
  EXPECT_TRUE(parse_event_line(line.json));
}

TEST(AnEventLine, P7_ThatIsNoneIsNone) {
  for (const char* text : {"", "{", "[]", "12", "garbage", R"({"id":1})",
                           R"({"id":0,"time":"","type":"state","level":"info","message":""})",
                           R"({"id":1.5,"time":"","type":"state","level":"info","message":""})",
                           R"({"id":9223372036854775807,"time":"","type":"state","level":"info","message":""})",
                           R"({"id":1,"time":"","type":"state","level":"info","message":7})"}) {
    EXPECT_FALSE(parse_event_line(text)) << text;
  }
  EXPECT_TRUE(parse_event_line(R"({"id":1,"time":"","type":"of tomorrow","level":"info","message":"","more":[1]})"));
}

TEST(AnEventPage, IsOneDocument) {
  EventPage page;
  page.newest = 9;
  page.more = true;
  page.events = {std::make_shared<const EventLine>(to_line(crash())),
                 std::make_shared<const EventLine>(to_line(crash()))};
  const auto document = parse_json(to_json(page), "the page", 100'000);
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(integer_member(document->get_object(), "format"), kEventsFormat);
  EXPECT_EQ(integer_member(document->get_object(), "newest"), 9);
  EXPECT_EQ(document->at("events").get_array().size(), 2U);
  EXPECT_TRUE(parse_json(to_json(EventPage{}), "an empty page", 1000));
}

std::shared_ptr<const EventLine> numbered(std::int64_t id) {
  return std::make_shared<const EventLine>(EventLine{id, "state", "{}"});
}

std::string ids(const std::optional<EventPage>& page) {
  if (!page) return "elsewhere";
  std::string out;
  for (const auto& event : page->events) out += std::to_string(event->id) + " ";
  return out + (page->more ? "…" : ".");
}

TEST(TheRing, AnswersWhatItHoldsAndSendsElsewhereForTheRest) {
  EventRing ring(3);
  EXPECT_EQ(ids(ring.answer({std::nullopt, 10})), ".");
  EXPECT_EQ(ids(ring.answer({0, 10})), ".");
  for (const int id : {1, 2, 5}) ring.add(numbered(id));
  EXPECT_EQ(ids(ring.answer({std::nullopt, 2})), "2 5 …");
  EXPECT_EQ(ids(ring.answer({std::nullopt, 10})), "1 2 5 .");
  EXPECT_EQ(ids(ring.answer({1, 1})), "2 …");
  EXPECT_EQ(ids(ring.answer({3, 10})), "5 .");
  EXPECT_EQ(ids(ring.answer({5, 10})), ".");
  ring.add(numbered(6));
  EXPECT_EQ(ids(ring.answer({0, 10})), "elsewhere") << "1 is not here any more";
  EXPECT_EQ(ids(ring.answer({1, 10})), "2 5 6 .");
  EXPECT_EQ(ids(ring.answer({std::nullopt, 4})), "elsewhere");
  EXPECT_EQ(ids(ring.answer({std::nullopt, 3})), "2 5 6 …");
}

TEST(TheRing, GivesAReaderOfAnotherJournalThisOneFromItsStart) {
  EventRing ring(3);
  ring.add(numbered(1));
  EXPECT_EQ(ids(ring.answer({500, 10})), "1 .");
}

TEST(TheRing, GoesOnFromWhatWasThereBefore) {
  EventRing ring(4);
  EventPage before;
  before.events = {numbered(8), numbered(9)};
  before.more = true;
  ring.begin_with(before);
  ring.add(numbered(10));
  EXPECT_EQ(ids(ring.answer({7, 10})), "8 9 10 .");
  EXPECT_EQ(ids(ring.answer({6, 10})), "elsewhere");
}

}  // namespace
}  // namespace ts::api
