// P1, P2: the power goes after every single call of a saving run, and every state that may then be on the disk is
// looked at. The same rig with a lying disk or a wrong writer must complain, or it could not be believed.
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/digest.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/crash_rig.h"
#include "tests/unit/checkpoint/shadow_disk.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

using Scenario =
    std::function<void(const std::filesystem::path&, FileSystem&, Promises&, const std::function<void()>&)>;

struct Survey {
  std::size_t states = 0;
  std::vector<std::string> broken;
};

Survey cut_everywhere(const Scenario& scenario, ShadowDisk::Lies lies = {}) {
  const TemporaryDirectory temporary;
  const auto models = temporary.path() / "models";
  std::filesystem::create_directory(models);
  plant_foreign_files(models);
  FakeFileSystem fake;
  ShadowDisk disk(models, fake, lies);
  Promises promises;
  std::set<std::pair<DiskImage, Promises>> states;
  const auto look = [&] {
    for (DiskImage& image : disk.images()) states.emplace(std::move(image), promises);
  };
  disk.after_change = look;
  scenario(models, disk, promises, look);
  disk.after_change = {};
  look();

  Survey survey;
  survey.states = states.size();
  for (const auto& [image, promised] : states) {
    const auto after_cut = temporary.path() / "after-cut";
    write_image(image, after_cut);
    for (std::string& sentence : broken_after_recovery(after_cut, promised)) survey.broken.push_back(sentence);
    std::filesystem::remove_all(after_cut);
  }
  return survey;
}

bool complains(const Survey& survey, std::string_view part) {
  for (const std::string& sentence : survey.broken) {
    if (contains(sentence, part)) return true;
  }
  return false;
}

TEST(APowerCut, P1P2_AtAnyMomentCostsNoAcknowledgedCheckpoint) {
  const Survey survey = cut_everywhere(train);
  EXPECT_GT(survey.states, 40U);
  EXPECT_TRUE(survey.broken.empty()) << survey.broken.size() << " of " << survey.states << " states, first "
                                     << survey.broken.front();
  RecordProperty("states", static_cast<int>(survey.states));
}

TEST(TheRig, SeesADiskThatDoesNotSyncDirectories) {
  const Survey survey = cut_everywhere(train, {.directory_sync = true, .file_sync = false});
  EXPECT_TRUE(complains(survey, "an acknowledged checkpoint is lost"));
}

TEST(TheRig, SeesADiskThatDoesNotSyncFiles) {
  const Survey survey = cut_everywhere(train, {.directory_sync = false, .file_sync = true});
  EXPECT_TRUE(complains(survey, "an acknowledged checkpoint is lost"));
}

// The steps of a commit, to be put together wrongly.
class WrongWriter {
 public:
  WrongWriter(const std::filesystem::path& path, FileSystem& fs)
      : directory_(*Directory::open(path, Directory::Create::no, fs)) {}

  const Directory& directory() const { return directory_; }

  void place(const std::string& name, std::string_view content) {
    EXPECT_TRUE(directory_.write_synced("unnamed", bytes_of(content)));
    EXPECT_TRUE(directory_.rename_new("unnamed", name));
    EXPECT_TRUE(directory_.sync());
  }

  static std::string archive_of(Episode episode) { return text_of(small_archive(episode)); }

  static std::string sidecar_of(Episode episode) {
    Sidecar sidecar = sidecar_for(episode, 0.0);
    sidecar.file = archive_name(episode);
    sidecar.bytes = archive_of(episode).size();
    sidecar.digest = digest_of(small_archive(episode));
    return to_json(sidecar);
  }

 private:
  Directory directory_;
};

void acknowledge(Episode episode, Promises& promises, const std::function<void()>& promised) {
  promises.may.erase(episode);
  promises.must[episode] = digest_of(small_archive(episode));
  promised();
}

TEST(TheRig, FindsNothingWrongWithARightWriter) {
  const Survey survey =
      cut_everywhere([](const auto& path, FileSystem& fs, Promises& promises, const std::function<void()>& promised) {
        WrongWriter writer(path, fs);
        for (const Episode episode : kSaves) {
          promises.may[episode] = digest_of(small_archive(episode));
          writer.place(archive_name(episode), WrongWriter::archive_of(episode));
          writer.place(sidecar_name(episode), WrongWriter::sidecar_of(episode));
          acknowledge(episode, promises, promised);
        }
      });
  EXPECT_TRUE(survey.broken.empty()) << survey.broken.front();
}

TEST(TheRig, SeesAWriterThatPutsTheSidecarFirst) {
  const Survey survey =
      cut_everywhere([](const auto& path, FileSystem& fs, Promises& promises, const std::function<void()>& promised) {
        WrongWriter writer(path, fs);
        for (const Episode episode : kSaves) {
          promises.may[episode] = digest_of(small_archive(episode));
          writer.place(sidecar_name(episode), WrongWriter::sidecar_of(episode));
          writer.place(archive_name(episode), WrongWriter::archive_of(episode));
          acknowledge(episode, promises, promised);
        }
      });
  EXPECT_TRUE(complains(survey, "a sidecar stands without its content"));
}

TEST(TheRig, SeesAWriterThatAcknowledgesBeforeTheDirectoryIsSynced) {
  const Survey survey =
      cut_everywhere([](const auto& path, FileSystem& fs, Promises& promises, const std::function<void()>& promised) {
        WrongWriter writer(path, fs);
        for (const Episode episode : kSaves) {
          writer.place(archive_name(episode), WrongWriter::archive_of(episode));
          EXPECT_TRUE(writer.directory().write_synced("unnamed", bytes_of(WrongWriter::sidecar_of(episode))));
          EXPECT_TRUE(writer.directory().rename_new("unnamed", sidecar_name(episode)));
          acknowledge(episode, promises, promised);
        }
      });
  EXPECT_TRUE(complains(survey, "an acknowledged checkpoint is lost"));
}

TEST(TheRig, SeesAWriterThatPrunesTheContentBeforeTheRecord) {
  const Survey survey =
      cut_everywhere([](const auto& path, FileSystem& fs, Promises& promises, const std::function<void()>& promised) {
        WrongWriter writer(path, fs);
        for (const Episode episode : {9, 10}) {
          promises.may[episode] = digest_of(small_archive(episode));
          writer.place(archive_name(episode), WrongWriter::archive_of(episode));
          writer.place(sidecar_name(episode), WrongWriter::sidecar_of(episode));
          acknowledge(episode, promises, promised);
        }
        promises.may.insert(promises.must.extract(9));
        EXPECT_TRUE(writer.directory().unlink(archive_name(9)));
        EXPECT_TRUE(writer.directory().unlink(sidecar_name(9)));
      });
  EXPECT_TRUE(complains(survey, "a sidecar stands without its content"));
}

TEST(TheRig, SeesAWriterThatPrunesBeforeTheNewerOneIsDurable) {
  const Survey survey =
      cut_everywhere([](const auto& path, FileSystem& fs, Promises& promises, const std::function<void()>& promised) {
        WrongWriter writer(path, fs);
        writer.place(archive_name(9), WrongWriter::archive_of(9));
        writer.place(sidecar_name(9), WrongWriter::sidecar_of(9));
        acknowledge(9, promises, promised);
        EXPECT_TRUE(writer.directory().unlink(sidecar_name(9)));
        EXPECT_TRUE(writer.directory().unlink(archive_name(9)));
        writer.place(archive_name(10), WrongWriter::archive_of(10));
        writer.place(sidecar_name(10), WrongWriter::sidecar_of(10));
      });
  EXPECT_TRUE(complains(survey, "nothing is left to resume from"));
}

}  // namespace
}  // namespace ts::checkpoint
