// Incidents read, asked for over the API, and told: whatever lies in the folders (P7, P11).
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "common/base/json.h"
#include "supervisor/api/incidents.h"
#include "supervisor/api/routes.h"
#include "supervisor/ctl/incidents.h"
#include "supervisor/shell/incident_book.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/fake_backend.h"

namespace ts::api {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

const system_clock::time_point kNoon{std::chrono::milliseconds{1'769'860'800'123}};  // 2026-01-31T12:00:00.123Z
const std::string kCrash = "2026-01-31T12-00-00.123Z-attempt3-crash";
const std::string kHang = "2026-01-31T11-00-00.000Z-attempt2-heartbeat_lost";
const std::string kOld = "2026-01-30T12-00-00.000Z-attempt3-crash";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// As one line, since where a line breaks is no matter of content.
std::string flat(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    const char shown = letter == '\n' ? ' ' : letter;
    if (shown != ' ' || (!out.empty() && out.back() != ' ')) out += shown;
  }
  return out;
}

TEST(ASelector, MeansTheOneThatAPersonMeans) {
  const std::vector<std::string> ids = {kCrash, kHang, kOld};
  EXPECT_EQ(*resolve_incident("latest", ids), kCrash);
  EXPECT_EQ(*resolve_incident("2", ids), kHang);
  EXPECT_EQ(*resolve_incident("3", ids), kCrash) << "the newest of that attempt";
  EXPECT_EQ(*resolve_incident(kOld, ids), kOld);
  EXPECT_EQ(*resolve_incident("2026-01-30", ids), kOld);
  EXPECT_EQ(*resolve_incident(kCrash, {kCrash + "-2", kCrash}), kCrash) << "a whole name is not the other's beginning";
}

TEST(ASelector, ThatMeansNothingOrMoreThanOneIsAnsweredWithWhatThereIs) {
  const std::vector<std::string> ids = {kCrash, kHang, kOld};
  for (const std::string selector : {"", "9", "nonsense", "latest2", "\x1b[2J"}) {
    const auto refused = resolve_incident(selector, ids);
    ASSERT_FALSE(refused) << selector;
    EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
    EXPECT_TRUE(contains(refused.error().message, kHang)) << refused.error().message;
    EXPECT_FALSE(contains(refused.error().message, "\x1b"));
  }
  const auto ambiguous = resolve_incident("2026-01-31", ids);
  ASSERT_FALSE(ambiguous);
  EXPECT_TRUE(contains(ambiguous.error().message, "2 incidents"));
  EXPECT_FALSE(contains(ambiguous.error().message, kOld));
  EXPECT_TRUE(contains(resolve_incident("latest", {}).error().message, "no incident on record"));
}

class TheRecord : public testing::Test {
 protected:
  shell::IncidentBook book() {
    const auto state = checkpoint::Directory::open(directory_.path(), checkpoint::Directory::Create::no);
    return *shell::IncidentBook::open(*state);
  }
  json::object shown(const std::string& selector) {
    const auto document = incident_document(directory_.path(), selector);
    EXPECT_TRUE(document) << document.error().message;
    return document ? *document : json::object();
  }
  std::string text(const std::string& selector) {
    return flat(ctl::render_incident(shown(selector), kNoon + std::chrono::hours{2}));
  }

  TempDirectory directory_;
};

TEST_F(TheRecord, OfADirectoryWithoutOneIsEmptyAndNoError) {
  for (const std::string where : {"", "not-there"}) {
    const auto document = incidents_document(directory_ / where, 20);
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_TRUE(document->at("incidents").as_array().empty());
    EXPECT_TRUE(contains(ctl::render_incidents(*document, kNoon), "no incident on record"));
    EXPECT_EQ(incident_document(directory_ / where, "latest").error().kind, ErrorKind::not_found);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << "reading makes no folder";
}

TEST_F(TheRecord, P11_TellsTheStoryOfAHang) {
  IncidentReport report;
  report.attempt = 3;
  report.pid = 4711;
  report.cause = core::Cause::heartbeat_lost;
  report.what = "worker 4711 sent no heartbeat for 30s";
  report.detected_by = "heartbeat";
  report.phase = "train";
  report.episode = 41;
  report.last_heard_s = 30.25;
  report.silence = core::SilenceVerdict{core::SilenceVerdict::Kind::hung, "it sleeps, and nothing holds it up"};
  report.exit = core::ExitStatus{{}, 9};
  report.decision = "relaunching at once";
  report.lost_episodes = 2;
  report.resumed_from = 39;
  report.evidence = {{"stacks.txt", 7, ""}, {"gpu.txt", std::nullopt, "nvidia-smi is not installed"}};
  const auto begun = book().begin(report, kNoon);
  write_text(begun->folder.path() / "stacks.txt", "stacks\n");
  write_text(begun->folder.path() / "log.txt", "first\n\x1b[2Jlast");
  const std::string story = text("latest");
  for (const auto* part :
       {"The worker fell silent", "sent no heartbeat for 30s.", "killed by signal 9 (SIGKILL)",
        "2026-01-31 12:00:00 UTC (2h 00m ago), in attempt 3, process 4711.", "said last: train.",
        "Its last sign of life had come 30s before.", "The worker hung", "it sleeps, and nothing holds it up.",
        "2 completed episodes were lost", "completed episode 41.", "Relaunching at once.", "went on from episode 39.",
        "stacks.txt 7 B", "gpu.txt none: nvidia-smi is not installed", "| first", "| \\x1b[2Jlast"}) {
    EXPECT_TRUE(contains(story, part)) << part << "\nis not in\n" << story;
  }
  EXPECT_TRUE(contains(story, begun->folder.path().string() + "/")) << "where the evidence lies";
  const auto list = incidents_document(directory_.path(), 20);
  const std::string table = ctl::render_incidents(*list, kNoon);
  for (const auto* part : {"heartbeat_lost", "41", "relaunching at once; went on from episode 39", "LOST"}) {
    EXPECT_TRUE(contains(table, part)) << part << "\nis not in\n" << table;
  }
}

TEST(TheStory, OfAWorkerThatToldNothingInventsNothing) {
  const auto story = [](const std::string& report) {
    return ctl::render_incident(json::parse(R"({"id":"x","report":)" + report + R"(,"log_tail":null})").as_object(),
                                kNoon);
  };
  const std::string silent = story(R"({"cause":"crash","attempt":1,"pid":7,"episode":0,"last_heard_s":null,
      "exit":{"code":null,"signal":9},"lost_episodes":0,"resumed_from":0})");
  EXPECT_TRUE(contains(silent, "was killed (SIGKILL) by somebody")) << silent;
  EXPECT_FALSE(contains(silent, "crashed")) << silent;
  EXPECT_TRUE(contains(silent, "Not known: it had told of no episode.")) << silent;
  EXPECT_TRUE(contains(silent, "The next attempt was given no checkpoint")) << silent;
  EXPECT_FALSE(contains(silent, "beginning")) << silent;
  EXPECT_TRUE(contains(silent, "None are on record.")) << silent;
  const std::string segfault = story(R"({"cause":"crash","episode":0,"last_heard_s":0.5,"exit":{"signal":11}})");
  EXPECT_TRUE(contains(segfault, "The worker crashed.")) << segfault;
  EXPECT_TRUE(contains(segfault, "completed episode 0.")) << segfault;
  EXPECT_TRUE(contains(story("null"), "None that can be read.")) << "what is unreadable is not missing";
}

TEST(TheList, FitsANarrowTerminal) {
  const json::object document = json::parse(R"({"total":1,"incidents":[{"id":"2026-01-31T12-00-00.123Z-attempt3-crash",
      "time":"2026-01-31T09:50:00.000Z","cause":"crash","episode":41,"lost_episodes":2,"resumed_from":39,
      "decision":"3 in a row without progress, relaunching in 7.7s"}]})")
                                    .as_object();
  const std::string narrow = ctl::render_incidents(document, kNoon, 60);
  EXPECT_TRUE(
      contains(narrow, "attempt3-crash\n  2026-01-31 09:50:00 UTC (2h 10m ago), episode 41, lost 2\n  3 in a row"))
      << narrow;
  const std::string list = narrow.substr(0, narrow.find("For the story"));
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = list.find('\n', at);
    EXPECT_LE(end - at, 60U) << list;
    at = end + 1;
  }
  EXPECT_TRUE(contains(ctl::render_incidents(document, kNoon, 300), "WHAT WAS DONE"));
}

TEST_F(TheRecord, OfManyIsCutAtTheLimitAndSaysHowManyThereAre) {
  const auto open = book();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(open.begin({}, kNoon + std::chrono::seconds{i}));
  const auto document = incidents_document(directory_.path(), 2);
  EXPECT_EQ(document->at("incidents").as_array().size(), 2U);
  EXPECT_EQ(integer_member(*document, "total"), 5);
  EXPECT_TRUE(contains(ctl::render_incidents(*document, kNoon), "and 3 older"));
}

TEST_F(TheRecord, P7_OfTornAndHostileReportsIsASentenceForEach) {
  const std::string deep(100'000, '[');
  const std::string terminal = R"({"format":1,"cause":"crash","what":"a\u001b[2Jb","decision":"\u0007",
      "evidence":[{"name":"\u001b]0;x","why_not":"\r"}],"silence":{"verdict":7},"exit":{"code":-5,"signal":1e9}})";
  const auto folder = directory_ / ("incidents/" + kCrash);
  std::filesystem::create_directories(folder);
  for (const std::string& content : {std::string(), std::string("{\"format\": 1, \"cau"), std::string("[]"), deep,
                                     std::string(300'000, ' '), std::string("{\"format\": 7}"), terminal}) {
    write_text(folder / "report.json", content);
    write_text(folder / "log.txt", std::string(5'000, '\xff') + "\n\n\x1b[31m");
    const std::string all = ctl::render_incidents(*incidents_document(directory_.path(), 20), kNoon) +
                            ctl::render_incident(shown("latest"), kNoon);
    for (const char byte : all) ASSERT_TRUE(byte == '\n' || static_cast<unsigned char>(byte) >= 0x20) << all;
    EXPECT_TRUE(contains(all, kCrash));
    const json::object document = shown(kCrash);
    EXPECT_EQ(document.at("report").is_null(), content != terminal) << content.substr(0, 20);
    EXPECT_EQ(document.at("problem").is_string(), content != terminal);
    EXPECT_LT(compact_json(document).size(), 100'000U);
  }
}

TEST_F(TheRecord, P7_IsNeverFollowedOutOfItsFolder) {
  TempDirectory elsewhere;
  write_text(elsewhere / "report.json", "secret");
  const auto incidents = directory_ / "incidents";
  std::filesystem::create_directories(incidents / kHang);
  std::filesystem::create_directory_symlink(elsewhere.path(), incidents / kCrash);
  std::filesystem::create_symlink(elsewhere / "report.json", incidents / kHang / "report.json");
  std::filesystem::create_symlink(elsewhere / "report.json", incidents / kHang / "log.txt");
  const auto document = shown("latest");
  EXPECT_EQ(string_member(document, "id"), kHang) << "a link is no incident";
  EXPECT_FALSE(contains(compact_json(document), "secret"));
  EXPECT_TRUE(document.at("files").as_array().empty());
  EXPECT_TRUE(document.at("log_tail").is_null());
}

TEST(ADocumentOfIncidents, P7_WithMembersOfAnyTypeIsRendered) {
  for (const auto* text :
       {"{}", R"({"incidents":{}})", R"({"incidents":[1,{},{"id":7,"time":"20260131T","lost_episodes":-9e18}]})",
        R"({"report":{},"files":[1,{}],"log_tail":[1,null]})",
        R"({"report":{"time":"9999-99-99T99:99:99Z","last_heard_s":1e308,"exit":{"signal":99999},"evidence":[{}]}})"}) {
    const json::object document = json::parse(text).as_object();
    EXPECT_FALSE(ctl::render_incidents(document, kNoon).empty());
    EXPECT_FALSE(ctl::render_incident(document, kNoon).empty());
  }
}

class IncidentRoutes : public testing::Test {
 protected:
  unsigned ask(const std::string& method, const std::string& target) {
    boost::asio::io_context io;
    std::optional<Reply> reply;
    const Request request{method, target, {}};
    boost::asio::co_spawn(io, answer(request, {}, backend_),
                          [&](const std::exception_ptr&, Reply answered) { reply = std::move(answered); });
    io.run();
    return reply ? reply->status : 0;
  }
  std::string asked() const { return backend_.asked.empty() ? "" : backend_.asked.back(); }

  FakeBackend backend_;
};

TEST_F(IncidentRoutes, ListAndShow) {
  EXPECT_EQ(ask("GET", "/v1/incidents"), 200U);
  EXPECT_EQ(asked(), "incidents 100");
  EXPECT_EQ(ask("GET", "/v1/incidents?limit=5"), 200U);
  EXPECT_EQ(asked(), "incidents 5");
  EXPECT_EQ(ask("GET", "/v1/incidents?limit=100"), 200U);
  EXPECT_EQ(asked(), "incidents 100");
  EXPECT_EQ(ask("GET", "/v1/incidents/latest"), 200U);
  EXPECT_EQ(asked(), "incident latest");
}

TEST_F(IncidentRoutes, RefuseWhatTheyDoNotUnderstand) {
  for (const auto* target :
       {"/v1/incidents?limit=0", "/v1/incidents?limit=-1", "/v1/incidents?limit=", "/v1/incidents?limit=101",
        "/v1/incidents?limit=99999999999999999999", "/v1/incidents?from=1"}) {
    EXPECT_EQ(ask("GET", target), 400U) << target;
  }
  EXPECT_EQ(ask("GET", "/v1/incidentsx"), 404U);
  EXPECT_EQ(ask("GET", "/v1/incidents/"), 404U);
  EXPECT_EQ(ask("POST", "/v1/incidents"), 405U);
  EXPECT_EQ(ask("DELETE", "/v1/incidents/latest"), 405U);
  EXPECT_EQ(asked(), "");
  backend_.refusal = make_error(ErrorKind::not_found, "there is no such incident");
  EXPECT_EQ(ask("GET", "/v1/incidents/9"), 404U);
  backend_.refusal = make_error(ErrorKind::unavailable, "the disk");
  EXPECT_EQ(ask("GET", "/v1/incidents/9"), 500U);
}

}  // namespace
}  // namespace ts::api
