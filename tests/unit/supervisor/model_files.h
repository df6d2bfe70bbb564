// Small models directories, made in a moment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/store_writer.h"
#include "common/config/config.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::shell {

inline std::vector<std::byte> toy_archive(std::int64_t episode) {
  checkpoint::Dict state;
  state.add("episode", checkpoint::view_of(episode));
  return checkpoint::write_archive(state);
}

class ModelFiles : public testing::Test {
 protected:
  ModelFiles() { config.checkpoints.directory = directory / "models"; }

  // Commits an episode with this profit.
  void commit(std::int64_t episode, double profit = 1.0, const std::string& run_id = "run") {
    with_writer([&](checkpoint::StoreWriter& writer) {
      EXPECT_TRUE(writer.commit(toy_archive(episode), record(episode, profit, run_id)));
    });
  }
  void commit_best(std::int64_t episode, double profit = 1.0, const std::string& run_id = "run") {
    with_writer([&](checkpoint::StoreWriter& writer) {
      EXPECT_TRUE(writer.commit_best(toy_archive(episode), record(episode, profit, run_id)));
    });
  }
  void damage(const std::string& name) { write_text(models(name), "damaged"); }

  std::filesystem::path models(const std::string& name = "") const { return config.checkpoints.directory / name; }
  bool exists(const std::string& name) const { return std::filesystem::exists(models(name)); }
  std::map<std::string, std::string> contents() const { return contents_of(models()); }

  TempDirectory directory;
  config::Config config;

 private:
  static checkpoint::Sidecar record(std::int64_t episode, double profit, const std::string& run_id) {
    checkpoint::Sidecar sidecar;
    sidecar.episode = episode;
    sidecar.total_episodes = 300;
    sidecar.run_id = run_id;
    sidecar.metrics["profit"] = profit;
    return sidecar;
  }
  template <class Use>
  void with_writer(Use use) {
    auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::yes);
    auto lock = checkpoint::DirectoryLock::acquire(*opened, "test");
    checkpoint::StoreWriter writer(*opened, std::move(*lock));
    use(writer);
  }
};

}  // namespace ts::shell
