// Incident folders: unique, sorted, bounded, durable, and read whatever lies in them (P7, P8, P11).
#include "supervisor/shell/incident_book.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "supervisor/api/incidents.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

namespace fs = std::filesystem;
using api::is_incident_id;
using api::kIncidentsMax;
using api::parse_incident;
using checkpoint::Directory;
using std::chrono::milliseconds;
using std::chrono::system_clock;

const system_clock::time_point kNoon{milliseconds{1'769'860'800'123}};  // 2026-01-31T12:00:00.123Z

IncidentReport hang() {
  IncidentReport report;
  report.run_id = "run";
  report.attempt = 3;
  report.pid = 4711;
  report.cause = core::Cause::heartbeat_lost;
  report.what = "worker 4711 sent no heartbeat for 30s";
  report.detected_by = "heartbeat";
  report.phase = "train";
  report.episode = 41;
  report.last_heard_s = 30.25;
  report.silence = core::SilenceVerdict{core::SilenceVerdict::Kind::hung, "it sleeps"};
  report.evidence = {
      {"stacks.txt", 1234, ""}, {"gpu.txt", std::nullopt, "nvidia-smi is not installed"}, {"log.txt", 5, "a part"}};
  return report;
}

class Incidents : public testing::Test {
 protected:
  IncidentBook open(checkpoint::FileSystem& seam = checkpoint::posix_file_system()) {
    const auto state = Directory::open(directory_.path(), Directory::Create::no, seam);
    auto book = IncidentBook::open(*state);
    EXPECT_TRUE(book) << book.error().message;
    return std::move(*book);
  }
  std::string begin(const IncidentBook& book, system_clock::time_point when = kNoon) {
    const auto begun = book.begin(hang(), when);
    EXPECT_TRUE(begun) << begun.error().message;
    return begun->report.id;
  }
  std::vector<std::string> folders() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }

  Result<IncidentReport> read(const std::string& id) const {
    return api::IncidentReader::open(directory_.path())->read(id);
  }
  Result<std::vector<std::string>> list() const { return api::IncidentReader::open(directory_.path())->ids(); }

  TempDirectory directory_;
  fs::path folder_ = directory_ / "incidents";
};

TEST_F(Incidents, P11_AreWrittenDownAndReadBack) {
  const auto book = open();
  const auto begun = book.begin(hang(), kNoon);
  ASSERT_TRUE(begun) << begun.error().message;
  EXPECT_EQ(begun->report.id, "2026-01-31T12-00-00.123Z-attempt3-heartbeat_lost");
  EXPECT_EQ(begun->report.time, "2026-01-31T12:00:00.123Z");
  EXPECT_EQ(begun->folder.path(), folder_ / begun->report.id);
  const auto found = read(begun->report.id);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, begun->report);
  EXPECT_EQ(folders(), std::vector<std::string>{begun->report.id});
}

TEST_F(Incidents, P11_AreAmendedAsMoreIsKnown) {
  const auto book = open();
  auto report = book.begin(hang(), kNoon)->report;
  for (const core::ExitStatus& status : {core::ExitStatus{}, core::ExitStatus{137, {}}, core::ExitStatus{{}, 9}}) {
    report.exit = status;
    report.decision = "relaunching at once";
    ASSERT_TRUE(book.amend(report));
    EXPECT_EQ(*read(report.id), report);
  }
  report.lost_episodes = 1;
  report.resumed_from = 40;
  ASSERT_TRUE(book.amend(report));
  EXPECT_EQ(*read(report.id), report);
  EXPECT_EQ(contents_of(folder_).size(), 1U) << "nothing but the report is left";
  report.id = "2026-01-31T12-00-00.123Z-attempt9-crash";
  EXPECT_FALSE(book.amend(report)) << "an amendment makes no folder";
  EXPECT_EQ(folders().size(), 1U);
}

TEST_F(Incidents, OfOneInstantHaveFoldersOfTheirOwn) {
  const auto book = open();
  const std::string name = begin(book);
  EXPECT_EQ(begin(book), name + "-2");
  EXPECT_EQ(begin(book), name + "-3");
  EXPECT_EQ(list()->size(), 3U);
}

TEST_F(Incidents, AreListedNewestFirst) {
  const auto book = open();
  const std::string second = begin(book, kNoon + std::chrono::hours{1});
  const std::string first = begin(book, kNoon);
  EXPECT_EQ(*list(), (std::vector<std::string>{second, first}));
}

TEST_F(Incidents, AreKeptUpToAHundredAndTheNewOneIsNeverTheVictim) {
  const auto book = open();
  std::string first;
  for (std::size_t i = 0; i < kIncidentsMax; ++i) {
    const std::string id = begin(book, kNoon + std::chrono::seconds{i});
    write_text(folder_ / id / "stacks.txt", "stack");
    if (i == 0) first = id;
  }
  EXPECT_EQ(folders().size(), kIncidentsMax);
  EXPECT_EQ(folders().front(), first);
  begin(book, kNoon + std::chrono::hours{1});
  EXPECT_EQ(folders().size(), kIncidentsMax);
  EXPECT_NE(folders().front(), first);
  const std::string of_a_clock_set_back = begin(book, kNoon - std::chrono::hours{9'000});
  EXPECT_EQ(folders().size(), kIncidentsMax);
  EXPECT_EQ(folders().front(), of_a_clock_set_back);
}

TEST_F(Incidents, P7_ThatAreNotOursAreNeitherRemovedNorFollowed) {
  const auto book = open();
  const std::string old = "2001-01-01T00-00-00.000Z-attempt1-crash";
  const auto named = [&](int n) { return "2001-01-01T00-00-0" + std::to_string(n) + ".000Z-attempt1-crash"; };
  TempDirectory elsewhere;
  write_text(elsewhere / "precious", "kept");
  fs::create_directory_symlink(elsewhere.path(), folder_ / named(1));
  write_text(folder_ / named(2), "a file");
  fs::create_directory(folder_ / "notes");
  write_text(folder_ / "notes" / "mine.txt", "kept");
  fs::create_directories(folder_ / named(3) / "inner");
  for (const char letter : std::string("abcdefgh")) write_text(folder_ / named(3) / std::string(1, letter), "kept");
  fs::create_directory(folder_ / named(4));
  fs::create_symlink(elsewhere / "precious", folder_ / named(4) / "link");
  ASSERT_EQ(::mkfifo((folder_ / named(4) / "fifo").c_str(), 0600), 0);
  for (std::size_t i = 0; i <= kIncidentsMax; ++i) begin(book, kNoon + std::chrono::seconds{i});

  EXPECT_EQ(read_text(elsewhere / "precious"), "kept");
  EXPECT_TRUE(fs::is_symlink(folder_ / named(1)));
  EXPECT_TRUE(fs::exists(folder_ / named(2)));
  EXPECT_EQ(read_text(folder_ / "notes" / "mine.txt"), "kept");
  EXPECT_EQ(contents_of(folder_ / named(3)).size(), 8U);
  EXPECT_FALSE(fs::exists(folder_ / named(4))) << "a folder of ours goes with what is in it";
  EXPECT_EQ(folders().size(), kIncidentsMax + 3);  // the link, the file, the notes; the folder with a folder counts
  EXPECT_FALSE(read(named(1)));
}

TEST_F(Incidents, P7_WithHostileContentAreASentence) {
  const auto book = open();
  const std::string id = begin(book);
  const fs::path report = folder_ / id / "report.json";
  const std::vector<std::string> contents = {"",
                                             "not JSON \x1b[2J",
                                             "[]",
                                             "{}",
                                             R"({"format": 2})",
                                             R"({"format": "1"})",
                                             R"({"format": 1})",
                                             R"({"format": 1, "cause": "\u001b[2J"})",
                                             std::string(300'000, ' '),
                                             std::string(100'000, '[')};
  for (const std::string& content : contents) {
    write_text(report, content);
    const auto found = read(id);
    ASSERT_FALSE(found) << content.substr(0, 40);
    EXPECT_NE(found.error().message.find("report.json"), std::string::npos) << found.error().message;
    EXPECT_EQ(found.error().message.find('\x1b'), std::string::npos);
  }
  fs::remove(report);
  EXPECT_FALSE(read(id));
  ASSERT_EQ(::mkfifo(report.c_str(), 0600), 0);
  EXPECT_FALSE(read(id));
  fs::remove(report);
  fs::create_symlink("/etc/passwd", report);
  EXPECT_FALSE(read(id));
  EXPECT_EQ(*list(), std::vector<std::string>{id});
  for (const std::string& other : std::vector<std::string>{"..", "", "../x", "notes", id + "/.."})
    EXPECT_FALSE(read(other)) << other;
}

TEST_F(Incidents, P7_WithMembersOfOtherTypesAreReadAsFarAsTheyGo) {
  const auto report = parse_incident(
      R"({"format": 1, "cause": "crash", "id": 3, "attempt": "x", "what": "a\u001b[2J", "exit": {"code": 1000},
          "silence": 4, "episode": 1e300, "last_heard_s": "long", "evidence": [1, {"name": "\u0007", "bytes": -1}]})",
      "report");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->what, "a\\x1b[2J");
  EXPECT_EQ(report->attempt, 0);
  EXPECT_EQ(report->exit, core::ExitStatus{});
  EXPECT_FALSE(report->silence);
  EXPECT_FALSE(report->last_heard_s);
  ASSERT_EQ(report->evidence.size(), 1U);
  EXPECT_EQ(report->evidence[0], (EvidencePart{"\\x07", std::nullopt, ""}));
}

TEST_F(Incidents, P7_CannotDriveATerminalByWhatAWorkerSaid) {
  IncidentReport report = hang();
  report.what = "its last words: \x1b[2J\xff";
  report.decision = std::string(100'000, 'x');
  const auto begun = open().begin(report, kNoon);
  const std::string text = read_text(folder_ / begun->report.id / "report.json");
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\\\\x1b[2J\\\\xff"), std::string::npos) << text;
  EXPECT_LT(text.size(), 10'000U);
}

TEST_F(Incidents, P8_OnAFullDiskAreASentenceAndLeaveNothingHalf) {
  for (const bool for_ever : {false, true}) {
    for (std::size_t at = 1;; ++at) {
      checkpoint::FakeFileSystem seam;
      const auto book = open(seam);
      seam.plan({.kind = checkpoint::Fault::Kind::error,
                 .calls = checkpoint::Fault::Calls::changes,
                 .error = ENOSPC,
                 .at = at,
                 .for_ever = for_ever});
      const auto begun = book.begin(hang(), kNoon + std::chrono::seconds{at});
      EXPECT_TRUE(seam.violations().empty());
      if (!seam.fired()) {
        EXPECT_TRUE(begun);
        break;
      }
      if (!begun) {
        EXPECT_NE(begun.error().message.find("No space left"), std::string::npos) << begun.error().message;
      }
      seam.plan({});
      for (const std::string& id : *list()) {
        // A full disk still lets files be removed; only one that refuses that too leaves a folder behind.
        const auto report = read(id);
        if (!for_ever) {
          EXPECT_TRUE(report) << at << ": " << report.error().message;
        }
      }
    }
  }
}

TEST_F(Incidents, P8_AnAmendmentThatFailsLeavesTheOldReport) {
  checkpoint::FakeFileSystem seam;
  const auto book = open(seam);
  IncidentReport report = book.begin(hang(), kNoon)->report;
  for (std::size_t at = 1;; ++at) {
    seam.plan(
        {.kind = checkpoint::Fault::Kind::error, .calls = checkpoint::Fault::Calls::changes, .error = EIO, .at = at});
    report.decision = "decision " + std::to_string(at);
    const auto amended = book.amend(report);
    const bool fired = seam.fired() && !amended;
    seam.plan({});
    const auto found = read(report.id);
    ASSERT_TRUE(found) << at << ": " << found.error().message;
    if (!fired) {
      EXPECT_EQ(found->decision, report.decision);
      break;
    }
  }
}

TEST_F(Incidents, P6_ThatASupervisorWasKilledOverAreSweptByTheNext) {
  const IncidentBook book = open();
  const std::string id = begin(book);
  const fs::path half = folder_ / id / ".report.json.tmp";
  const fs::path no_report = folder_ / begin(book, kNoon + milliseconds{1});
  fs::copy_file(folder_ / id / "report.json", half);
  fs::rename(no_report / "report.json", no_report / ".report.json.tmp");
  fs::create_directory(folder_ / "mine");
  fs::copy_file(half, folder_ / "mine" / ".report.json.tmp");
  book.sweep();
  EXPECT_FALSE(fs::exists(half));
  EXPECT_TRUE(fs::is_empty(no_report));
  EXPECT_TRUE(fs::exists(folder_ / "mine" / ".report.json.tmp"));
  EXPECT_TRUE(read(id));
}

TEST_F(Incidents, WhoseFolderCannotBeMadeAreASentence) {
  write_text(folder_, "in the way");
  const auto state = Directory::open(directory_.path(), Directory::Create::no);
  EXPECT_FALSE(IncidentBook::open(*state));
}

TEST(TheNameOfAnIncident, IsOfOnePattern) {
  for (const char* name : {"2026-01-31T12-00-00.123Z-attempt3-heartbeat_lost",
                           "2026-01-31T12-00-00.123Z-attempt0-crash", "2026-01-31T12-00-00.123Z-attempt12-crash-2"}) {
    EXPECT_TRUE(is_incident_id(name)) << name;
  }
  for (const char* name : {"", ".", "..", "notes", "2026-01-31T12-00-00.123Z", "2026-01-31T12-00-00.123Z-attempt-crash",
                           "2026-01-31T12-00-00.123Z-attempt3", "2026-01-31T12-00-00.123Z-attempt3-",
                           "2026-01-31T12-00-00.123Z-attempt03-crash", "2026-01-31T12-00-00.123Z-attempt3-nothing",
                           "2026-01-31T12:00:00.123Z-attempt3-crash", "2026-01-31T12-00-00.123Z-attempt3-crash-",
                           "2026-01-31T12-00-00.123Z-attempt3-crash-x", "x2026-01-31T12-00-00.123Z-attempt3-crash",
                           "2026-01-31T12-00-00.123Z-attempt3-crash/.."}) {
    EXPECT_FALSE(is_incident_id(name)) << name;
  }
}

}  // namespace
}  // namespace ts::shell
