// What workers are launched with.
#include "supervisor/shell/config_in_force.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "common/config/load.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

TEST(TheConfigurationInForce, IsAFileThatSaysTheSameAndOnlyItsOwnerReads) {
  const TempDirectory folder;
  const auto directory = checkpoint::Directory::open(folder / "", checkpoint::Directory::Create::no);
  ASSERT_TRUE(directory) << directory.error().message;
  config::Config config;
  config.training.episodes = 7;
  config.worker.environment = {{"TOKEN", "secret\n# not a comment"}};
  for (int round = 0; round < 2; ++round) {  // the second takes the first one's place
    config.restart.poison_after = round + 3;
    const auto path = write_config_in_force(*directory, config, "evil\nname: {.yaml");
    ASSERT_TRUE(path) << path.error().message;
    const auto read = config::load_config(*path);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, config);
    struct stat facts {};
    ASSERT_EQ(::stat(path->c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  }
}

}  // namespace
}  // namespace ts::shell
