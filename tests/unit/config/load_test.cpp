// Reading the file itself.
#include "common/config/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/config/yaml_tree.h"
#include "tests/unit/config/support.h"

namespace ts::config {
namespace {

namespace fs = std::filesystem;

class LoadingAFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ts-config-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path write(std::string_view name, std::string_view text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
    return directory_ / name;
  }

  fs::path directory_;
};

TEST_F(LoadingAFile, GivesWhatItSays) {
  const auto config = load_config(write("c.yaml", "training: {episodes: 7}\n"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->training.episodes, 7);
}

TEST_F(LoadingAFile, TheSocketIsKnownWhateverElseIsWrong) {
  const auto socket_in = [&](std::string_view text) {
    const auto socket = control_socket_in(write("s.yaml", text));
    return socket ? socket->string() : std::string("none");
  };
  EXPECT_EQ(socket_in("training: {episodes: x}\n"), "models/.supervisor/control.sock");
  EXPECT_EQ(socket_in("checkpoints: {directory: m, max_keep: many, save_freqency: 1}\nhttp: 7\n"),
            "m/.supervisor/control.sock");
  EXPECT_EQ(socket_in("supervisor: {control_socket: /run/x.sock}\ntrainning: {}\n"), "/run/x.sock");
  // Where it may be another one than it seems, nobody guesses.
  for (const auto* text :
       {"checkpoints: {directory: [a]}\n", "checkpoints: {directry: m}\n", "checkpoint: {directory: m}\n",
        "checkpoints: 7\n", "supervisor: {control_sokcet: a}\n", "training: {directory: m}\n",
        "checkpoints: {directory: a, directory: b}\n", "checkpoints: {directory: m\n", "- a\n"}) {
    EXPECT_EQ(socket_in(text), "none") << text;
  }
  EXPECT_FALSE(control_socket_in(directory_ / "nowhere.yaml"));
}

TEST_F(LoadingAFile, ThatIsEmptyGivesTheDefaults) {
  const auto config = load_config(write("c.yaml", ""));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config, Config{});
}

TEST_F(LoadingAFile, FollowsALink) {
  fs::create_symlink(write("c.yaml", "training: {episodes: 7}\n"), directory_ / "link.yaml");
  EXPECT_EQ(load_config(directory_ / "link.yaml")->training.episodes, 7);
}

TEST_F(LoadingAFile, NamesTheFileInItsProblems) {
  const fs::path file = write("c.yaml", "x: 1\n");
  const auto config = load_config(file);
  ASSERT_FALSE(config);
  EXPECT_TRUE(config.error().message.starts_with(file.string() + ":1:1: unknown section")) << config.error().message;
}

TEST_F(LoadingAFile, ThatIsMissingSaysWhichAndWhatToDo) {
  const auto config = load_config(directory_ / "none.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind, ErrorKind::configuration);
  EXPECT_TRUE(contains(config.error().message, (directory_ / "none.yaml").string())) << config.error().message;
  EXPECT_TRUE(contains(config.error().message, "--config FILE"));
  const auto relative = load_config("no/such/file.yaml");
  EXPECT_TRUE(contains(relative.error().message, "seen from \"" + fs::current_path().string()));
}

TEST_F(LoadingAFile, RefusesWhatIsNoFileWithoutWaiting) {
  ASSERT_EQ(::mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  for (const fs::path& path : {directory_, directory_ / "fifo", fs::path("/dev/zero")}) {
    const auto config = load_config(path);
    ASSERT_FALSE(config) << path;
    EXPECT_TRUE(contains(config.error().message, "not a regular file")) << config.error().message;
  }
}

TEST_F(LoadingAFile, ThatMayNotBeReadSaysWhy) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const fs::path file = write("c.yaml", "");
  fs::permissions(file, fs::perms::none);
  EXPECT_TRUE(contains(load_config(file).error().message, "Permission denied"));
}

TEST_F(LoadingAFile, ThatIsHugeIsRefused) {
  const fs::path file = write("c.yaml", "");
  fs::resize_file(file, 1ULL << 40);  // sparse: it takes no room
  EXPECT_TRUE(contains(load_config(file).error().message, "more than 1.0 MiB"));
}

}  // namespace
}  // namespace ts::config
