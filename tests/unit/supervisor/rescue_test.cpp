// A dead worker's snapshot becomes a checkpoint (P5), and whatever else is handed over does no harm (P7, P8).
#include "supervisor/shell/rescue.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/base/json.h"
#include "common/checkpoint/digest.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/supervisor/model_files.h"

namespace ts::shell {
namespace {

using checkpoint::FakeFileSystem;
using checkpoint::Fault;
using Outcome = Rescue::Outcome;

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

UniqueFd memfd_of(std::span<const std::byte> bytes, int seals = kSizeSeals) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  if (seals != 0) {
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  }
  return fd;
}

protocol::SnapshotNotice notice_of(std::int64_t episode, std::span<const std::byte> bytes,
                                   boost::json::object more = {}) {
  more["episode"] = episode;
  more["bytes"] = bytes.size();
  more["digest"] = checkpoint::digest_of(bytes);
  return *protocol::parse_snapshot(compact_json(more));
}

class Rescuing : public ModelFiles {
 protected:
  HeldSnapshot held(std::int64_t episode) {
    const auto bytes = toy_archive(episode);
    return {memfd_of(bytes), notice_of(episode, bytes, {{"run_id", "run"}, {"metrics", {{"profit", 2.5}}}}), 4};
  }
  Rescue rescue(const HeldSnapshot& snapshot, const std::string& run_id = "run") {
    FakeFileSystem files;
    return rescue_with(snapshot, run_id, files, {});
  }
  // The fault counts from the rescue on.
  Rescue rescue_with(const HeldSnapshot& snapshot, const std::string& run_id, FakeFileSystem& files,
                     const Fault& fault) {
    auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::yes, files);
    auto lock = checkpoint::DirectoryLock::acquire(*opened, "test");
    checkpoint::StoreWriter writer(*opened, std::move(*lock));
    EXPECT_TRUE(writer.recover());
    files.plan(fault);
    return rescue_snapshot(snapshot, run_id, config, *opened, writer);
  }
  Result<checkpoint::Verified> verified(std::int64_t episode) const {
    const auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::no);
    return checkpoint::Store(*opened, checkpoint::Store::Contents::keep).verify(episode);
  }
  // P7: refused with this sentence, and nothing has changed.
  void expect_refused(const HeldSnapshot& snapshot, const std::string& why) {
    const auto before = contents();
    const Rescue result = rescue(snapshot);
    EXPECT_EQ(result.outcome, Outcome::refused) << why;
    EXPECT_FALSE(result.sidecar);
    EXPECT_NE(result.sentence.find(why), std::string::npos) << result.sentence;
    EXPECT_TRUE(result.sentence.ends_with('.') && !result.sentence.ends_with("..")) << result.sentence;
    EXPECT_EQ(contents(), before) << why;
  }
  // The same snapshot in other clothes.
  HeldSnapshot with_memory(UniqueFd memory) {
    HeldSnapshot snapshot = held(21);
    snapshot.memory = std::move(memory);
    return snapshot;
  }
};

TEST_F(Rescuing, P5_MakesACheckpointLikeAnyOther) {
  commit(20);
  const Rescue result = rescue(held(21));
  ASSERT_EQ(result.outcome, Outcome::rescued) << result.sentence;
  EXPECT_NE(result.sentence.find("rescued episode 21"), std::string::npos) << result.sentence;
  const auto made = verified(21);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(std::ranges::equal(made->archive.bytes(), toy_archive(21)));
  EXPECT_EQ(made->sidecar.reason, checkpoint::SaveReason::rescue);
  EXPECT_EQ(made->sidecar.run_id, "run");
  EXPECT_EQ(made->sidecar.attempt, 4);
  EXPECT_EQ(made->sidecar.total_episodes, 300) << "the configuration's, where the worker has not said it";
  EXPECT_EQ(made->sidecar.metrics.at("profit").as_double(), 2.5);
  EXPECT_FALSE(made->sidecar.created.empty());
  EXPECT_GT(made->sidecar.durable_ms.value_or(0.0), 0.0);
  EXPECT_EQ(checkpoint::to_json(*result.sidecar), read_text(models("model_ep21.json")));
  EXPECT_TRUE(verified(20));
  EXPECT_EQ(contents().size(), 4U) << "nothing else";
}

// A best model whose saver had no time to file it goes before the newest.
TEST_F(Rescuing, P5_SavesTheBestModelTooWhereItIsFiledNowhere) {
  commit(18);
  const auto bytes = toy_archive(19);
  const auto best = std::make_shared<HeldSnapshot>(HeldSnapshot{
      memfd_of(bytes), notice_of(19, bytes, {{"run_id", "run"}, {"best", {{"episode", 19}, {"value", 2.5}}}}), 4});
  ASSERT_TRUE(best->notice.is_best);
  HeldSnapshot newest = held(21);
  EXPECT_FALSE(newest.notice.is_best);
  newest.best = best;
  const Rescue result = rescue(newest);
  ASSERT_EQ(result.outcome, Outcome::rescued) << result.sentence;
  EXPECT_EQ(result.sidecar->episode, 21);
  EXPECT_NE(result.sentence.find("rescued episode 19"), std::string::npos) << result.sentence;
  EXPECT_TRUE(verified(19));
  EXPECT_TRUE(verified(21));
  const auto before = contents();
  EXPECT_EQ(rescue(newest).outcome, Outcome::not_needed);
  EXPECT_EQ(contents(), before);
}

TEST_F(Rescuing, LeavesABestModelAloneThatIsFiledOrNotWanted) {
  const auto bytes = toy_archive(19);
  const auto best = std::make_shared<HeldSnapshot>(
      HeldSnapshot{memfd_of(toy_archive(20)),  // its memory is in use for something else since
                   notice_of(19, bytes, {{"run_id", "run"}, {"best", {{"episode", 19}, {"value", 2.5}}}}), 4});
  commit(19);
  HeldSnapshot newest = held(21);
  newest.best = best;
  const Rescue filed = rescue(newest);
  EXPECT_EQ(filed.outcome, Outcome::rescued) << filed.sentence;
  EXPECT_EQ(filed.sentence.find("19"), std::string::npos) << filed.sentence;

  std::filesystem::remove_all(models());
  config.checkpoints.save_best = false;
  EXPECT_EQ(rescue(newest).outcome, Outcome::rescued);
  EXPECT_FALSE(verified(19));

  std::filesystem::remove_all(models());
  config.checkpoints.save_best = true;
  const Rescue other =
      rescue(newest);  // not filed, and not what was announced any more: the newest is saved all the same
  EXPECT_EQ(other.outcome, Outcome::rescued) << other.sentence;
  EXPECT_NE(other.sentence.find("episode 19 was not rescued"), std::string::npos) << other.sentence;
}

TEST_F(Rescuing, TakesWhatTheSupervisorKnowsFromNobodyElse) {
  const auto bytes = toy_archive(21);
  HeldSnapshot snapshot{memfd_of(bytes),
                        notice_of(21, bytes,
                                  {{"format", 99},
                                   {"file", "../../etc/passwd"},
                                   {"reason", "best"},
                                   {"attempt", -7},
                                   {"total_episodes", "many"},
                                   {"metrics", "none"},
                                   {"mine", {1, 2}}}),
                        4};
  ASSERT_EQ(rescue(snapshot).outcome, Outcome::rescued);
  const auto made = verified(21)->sidecar;
  EXPECT_EQ(made.file, "model_ep21.pt");
  EXPECT_EQ(made.reason, checkpoint::SaveReason::rescue);
  EXPECT_EQ(made.attempt, 4);
  EXPECT_EQ(made.run_id, "run");
  EXPECT_TRUE(made.unknown.contains("mine"));
}

TEST_F(Rescuing, IsNotNeededWhereTheDiskIsAsNew) {
  for (const std::int64_t on_disk : {21, 30}) {
    commit(on_disk);
    const auto before = contents();
    const Rescue result = rescue(held(21));
    EXPECT_EQ(result.outcome, Outcome::not_needed) << result.sentence;
    EXPECT_NE(result.sentence.find("episode " + std::to_string(on_disk) + " is on disk"), std::string::npos);
    EXPECT_EQ(contents(), before);
  }
}

TEST_F(Rescuing, P2_DoesNotCountWhatIsDamagedOrAnothers) {
  commit(20);
  commit(30);
  commit(40, 1.0, "another");
  damage("model_ep30.pt");
  EXPECT_EQ(rescue(held(21)).outcome, Outcome::rescued);
  EXPECT_TRUE(verified(21));
  EXPECT_TRUE(exists("model_ep30.pt")) << "setting it aside is for who chooses";
  EXPECT_TRUE(verified(40));
}

TEST_F(Rescuing, P2_ReplacesADamagedPairOfItsEpisodeAndKeepsIt) {
  for (const std::string name : {"model_ep21.pt", "model_ep21.json"}) {
    std::filesystem::remove_all(models());
    commit(20);
    commit(21);
    damage(name);
    EXPECT_EQ(rescue(held(21)).outcome, Outcome::rescued) << name;
    EXPECT_TRUE(verified(21)) << name;
    EXPECT_TRUE(verified(20)) << name;
    EXPECT_EQ(contents_of(models("quarantine")).size(), 3U) << name;  // and why.txt
  }
}

TEST_F(Rescuing, P7_RefusesWhatIsNotWhatWasAnnounced) {
  commit(20);
  const auto bytes = toy_archive(21);
  auto other = bytes;
  other[other.size() / 2] ^= std::byte{1};
  expect_refused(with_memory(memfd_of(other)), "it has digest");
  expect_refused(with_memory(memfd_of(std::span(bytes).first(bytes.size() - 1))), "were announced");
  expect_refused(with_memory(memfd_of({})), "has 0 bytes");
  HeldSnapshot huge = held(21);
  huge.notice.bytes = std::uint64_t{1} << 49;
  expect_refused(huge, "were announced");
  const auto wrong = toy_archive(22);
  expect_refused({memfd_of(wrong), notice_of(21, wrong), 4}, "it holds episode 22, announced was 21");
  const std::vector<std::byte> rubbish(5000, std::byte{0x5a});
  expect_refused({memfd_of(rubbish), notice_of(21, rubbish), 4}, "it");
  const std::int64_t episode = 21;
  checkpoint::Dict of_another_type;
  const double number = 21.0;
  of_another_type.add("episode", checkpoint::view_of(number));
  const auto typed = checkpoint::write_archive(of_another_type);
  expect_refused({memfd_of(typed), notice_of(episode, typed), 4}, "episode");
}

TEST_F(Rescuing, P7_RefusesAnythingButASealedMemoryFile) {
  commit(20);
  const auto bytes = toy_archive(21);
  expect_refused(with_memory(memfd_of(bytes, 0)), "not sealed");
  expect_refused(with_memory(memfd_of(bytes, F_SEAL_SHRINK)), "not sealed");
  expect_refused(with_memory(memfd_of(bytes, F_SEAL_GROW)), "not sealed");
  expect_refused(with_memory(memfd_of(bytes, kSizeSeals | F_SEAL_SEAL)), "could not be sealed against writing");
  expect_refused(with_memory(UniqueFd()), "no memory file");
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd kept(ends[1]);
  expect_refused(with_memory(UniqueFd(ends[0])), "no memory file");
  const auto open = [](const std::string& path, int flags) {
    return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC));
  };
  expect_refused(with_memory(open("/dev/zero", O_RDWR)), "no memory file");
  expect_refused(with_memory(open("/", O_RDONLY | O_DIRECTORY)), "no memory file");
  expect_refused(with_memory(open("/", O_PATH)), "no memory file");
  expect_refused(with_memory(open(models("model_ep20.pt"), O_RDWR)), "");  // on a tmpfs it has seals, but not these
  const UniqueFd memory = memfd_of(bytes);
  const std::string path = "/proc/self/fd/" + std::to_string(memory.get());
  expect_refused(with_memory(open(path, O_PATH)), "no memory file");
  expect_refused(with_memory(open(path, O_RDONLY)), "could not be sealed against writing");
}

// A page that is not there yet is made when it is read; where it cannot be, the reader is killed.
TEST_F(Rescuing, P7_RefusesMemoryWhosePagesAreNotAllThere) {
  commit(20);
  const std::vector<std::byte> zeros(1 << 20);
  UniqueFd sparse(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(sparse.get(), 1 << 20), 0);
  ASSERT_EQ(::fcntl(sparse.get(), F_ADD_SEALS, kSizeSeals), 0);
  expect_refused({std::move(sparse), notice_of(21, zeros), 4}, "has holes");
  UniqueFd huge(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  if (huge && ::ftruncate(huge.get(), 2 << 20) == 0 && ::fcntl(huge.get(), F_ADD_SEALS, kSizeSeals) == 0) {
    const std::vector<std::byte> all(2 << 20);
    expect_refused({std::move(huge), notice_of(21, all), 4}, "not of ordinary pages");
  }
}

TEST_F(Rescuing, P7_LetsNobodyPunchHolesIntoWhatItReads) {
  const HeldSnapshot snapshot = held(21);
  ASSERT_EQ(rescue(snapshot).outcome, Outcome::rescued);
  EXPECT_NE(::fallocate(snapshot.memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  EXPECT_LT(::pwrite(snapshot.memory.get(), "x", 1, 0), 0);
}

TEST_F(Rescuing, P5_WorksThoughTheSenderSealedMoreOrHasItMappedStill) {
  const auto bytes = toy_archive(21);
  EXPECT_EQ(rescue(with_memory(memfd_of(bytes, kSizeSeals | F_SEAL_WRITE | F_SEAL_SEAL))).outcome, Outcome::rescued);
  std::filesystem::remove_all(models());
  const HeldSnapshot snapshot = held(21);
  void* mapped = ::mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_SHARED, snapshot.memory.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(rescue(snapshot).outcome, Outcome::rescued);
  EXPECT_NE(::fallocate(snapshot.memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  ::munmap(mapped, bytes.size());
}

TEST_F(Rescuing, P7_RefusesARecordThatMakesNoSidecar) {
  commit(20);
  HeldSnapshot snapshot = held(21);
  for (const std::string& record : {std::string(), std::string("[]"), std::string("{"), std::string("nonsense")}) {
    snapshot.notice.record = record;
    expect_refused(snapshot, "its announcement");
  }
  HeldSnapshot beyond = held(21);
  beyond.notice.episode = checkpoint::kEpisodeMax + 1;
  expect_refused(beyond, "out of range");
  HeldSnapshot another = held(21);
  another.notice = notice_of(21, toy_archive(21), {{"run_id", "\x1b[2Janother"}});
  expect_refused(another, "belongs to run \\x1b[2Janother, not to run");
  EXPECT_EQ(rescue(held(21), "").outcome, Outcome::rescued) << "the run is the snapshot's own where none is known";
  EXPECT_EQ(verified(21)->sidecar.run_id, "run");
  HeldSnapshot nobodys = held(22);
  nobodys.notice = notice_of(22, toy_archive(22));
  EXPECT_EQ(rescue(nobodys, "").outcome, Outcome::refused);
}

TEST_F(Rescuing, P5_OfAnotherProgramNeedsThreeMembersAndAnyBytes) {
  config.worker.command = {"python3", "train.py"};
  const std::vector<std::byte> bytes(5000, std::byte{0x5a});
  const Rescue result = rescue({memfd_of(bytes), notice_of(21, bytes), 4});
  ASSERT_EQ(result.outcome, Outcome::rescued) << result.sentence;
  EXPECT_TRUE(std::ranges::equal(verified(21)->archive.bytes(), bytes));
}

// P8: whatever call fails, once or from then on, what was there is there, and the next try has the snapshot still.
TEST_F(Rescuing, P8_OnAFailingDiskCostsNothingAndCanBeTriedAgain) {
  for (const bool for_ever : {false, true}) {
    std::size_t failures = 0;
    for (std::size_t at = 1;; ++at) {
      SCOPED_TRACE("call " + std::to_string(at) + (for_ever ? " and all later ones" : ""));
      std::filesystem::remove_all(models());
      commit(20);
      const auto before = contents();
      FakeFileSystem files;
      const HeldSnapshot snapshot = held(21);
      const Rescue result =
          rescue_with(snapshot, "run", files, {Fault::Kind::error, Fault::Calls::changes, ENOSPC, at, for_ever});
      if (!files.fired()) break;
      for (const auto& [name, text] : before) ASSERT_EQ(read_text(models(name)), text) << name;
      EXPECT_TRUE(files.violations().empty());
      if (result.outcome == Outcome::rescued) continue;  // a call that may fail
      ++failures;
      EXPECT_EQ(result.outcome, Outcome::not_written) << result.sentence;
      if (!exists("model_ep21.json") && !for_ever) {
        EXPECT_EQ(contents(), before) << "nothing is left behind";
      }
      const auto again = rescue(snapshot);
      EXPECT_TRUE(again.outcome == Outcome::rescued || again.outcome == Outcome::not_needed) << again.sentence;
      EXPECT_TRUE(verified(21));
    }
    EXPECT_GT(failures, 5U);
  }
}

// A supervisor of some MiB must be able to rescue a snapshot of some GiB.
TEST_F(Rescuing, NeedsNoMemoryForTheSnapshot) {
  config.worker.command = {"any", "program"};
  constexpr std::size_t kBytes = std::size_t{128} << 20;
  HeldSnapshot snapshot;
  {
    const std::vector<std::byte> bytes(kBytes, std::byte{7});
    snapshot = {memfd_of(bytes), notice_of(21, bytes), 4};
  }
  std::ifstream status("/proc/self/status");
  std::string line;
  rlim_t data_bytes = 0;
  while (std::getline(status, line)) {
    if (line.starts_with("VmData:")) data_bytes = std::stoull(line.substr(7)) << 10;
  }
  ASSERT_GT(data_bytes, 0U);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_DATA, &before), 0);
  const rlimit limited{data_bytes + kBytes / 4, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_DATA, &limited), 0);
  const Rescue result = rescue(snapshot);
  ASSERT_EQ(::setrlimit(RLIMIT_DATA, &before), 0);
  EXPECT_EQ(result.outcome, Outcome::rescued) << result.sentence;
}

}  // namespace
}  // namespace ts::shell
