// P7: a directory in which somebody or something has changed, cut, mixed up or forged files. What is chosen is what was
// committed, byte for byte; what is passed over is named; nobody hangs, crashes, or leaves the directory.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

// Two good pairs; each test does something to the newer one.
class AHostileDirectory : public testing::Test {
 protected:
  static constexpr Episode kOlder = 10;
  static constexpr Episode kNewer = 20;

  AHostileDirectory() {
    for (const Episode episode : {kOlder, kNewer}) commit(models_, episode);
  }

  fs::path path() const { return temporary_.path() / "models"; }
  fs::path file(Episode episode) const { return path() / archive_name(episode); }
  fs::path record(Episode episode) const { return path() / sidecar_name(episode); }

  Choice choose() const {
    auto choice = models_.store.choose_newest(kRun);
    EXPECT_TRUE(choice);
    return std::move(*choice);
  }

  // Whether the newer pair is passed over for the older one, with a sentence for a person that names one of its files.
  bool is_passed_over() const {
    const Choice choice = choose();
    if (!choice.newest || choice.newest->sidecar.episode != kOlder || choice.rejected.size() != 1) return false;
    const std::string& reason = choice.rejected[0].reason;
    EXPECT_TRUE(contains(reason, "model_ep20.")) << reason;
    EXPECT_TRUE(reason.ends_with('.')) << reason;
    EXPECT_LT(reason.size(), 1000U) << reason;
    EXPECT_TRUE(std::ranges::none_of(reason, [](char c) { return c >= '\0' && c < ' '; })) << reason;
    return true;
  }

  bool is_chosen_as_committed() const {
    const Models& models = models_;
    const auto choice = Store(models.directory, Store::Contents::keep).choose_newest(kRun);
    return choice && choice->newest && choice->newest->sidecar.episode == kNewer &&
           text_of(choice->newest->archive.bytes()) == text_of(small_archive(kNewer));
  }

  TemporaryDirectory temporary_;
  Models models_{temporary_.path() / "models"};
};

TEST_F(AHostileDirectory, P7_NoBitOfAnArchiveCanChangeUnnoticed) {
  const std::string right = read_text(file(kNewer));
  ASSERT_TRUE(is_chosen_as_committed());
  for (std::size_t at = 0; at < right.size(); ++at) {
    std::string text = right;
    text[at] = static_cast<char>(text[at] ^ (1 << (at % 8)));
    write_text(file(kNewer), text);
    ASSERT_TRUE(is_passed_over()) << "byte " << at;
  }
}

TEST_F(AHostileDirectory, P7_ASidecarWithABitFlippedIsPassedOverOrVouchesForTheVeryArchive) {
  const std::string right = read_text(record(kNewer));
  std::size_t passed_over = 0;
  for (std::size_t at = 0; at < right.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string text = right;
      text[at] = static_cast<char>(text[at] ^ (1 << bit));
      write_text(record(kNewer), text);
      if (is_passed_over()) {
        ++passed_over;
      } else {
        ASSERT_TRUE(is_chosen_as_committed()) << "byte " << at << " bit " << bit << ": " << text;
      }
    }
  }
  EXPECT_GT(passed_over, right.size() * 4) << "most bits mean something";
}

TEST_F(AHostileDirectory, P7_AFileCutAtAnyLengthIsPassedOver) {
  for (const fs::path& cut : {file(kNewer), record(kNewer)}) {
    const std::string right = read_text(cut);
    const std::size_t needless = right.ends_with('\n') ? 1 : 0;
    for (std::size_t length = 0; length + needless < right.size(); ++length) {
      write_text(cut, right.substr(0, length));
      ASSERT_TRUE(is_passed_over()) << cut << " cut to " << length;
    }
    write_text(cut, right);
  }
  EXPECT_TRUE(is_chosen_as_committed());
}

TEST_F(AHostileDirectory, P7_FilesOfTwoCheckpointsMixedUpAreNoCheckpoint) {
  const auto swap = [](const fs::path& a, const fs::path& b) {
    const fs::path aside = a.string() + ".aside";
    fs::rename(a, aside);
    fs::rename(b, a);
    fs::rename(aside, b);
  };
  const auto nothing_is_chosen = [&] {
    const Choice choice = choose();
    return !choice.newest && choice.rejected.size() == 2;
  };
  swap(file(kOlder), file(kNewer));
  EXPECT_TRUE(nothing_is_chosen()) << "archives";
  swap(record(kOlder), record(kNewer));
  EXPECT_TRUE(nothing_is_chosen()) << "whole pairs: a name is part of what was committed";
  swap(file(kOlder), file(kNewer));
  EXPECT_TRUE(nothing_is_chosen()) << "sidecars";
  swap(record(kOlder), record(kNewer));
  EXPECT_TRUE(is_chosen_as_committed());
}

TEST_F(AHostileDirectory, P7_NothingButARegularFileIsOpenedForLong) {
  const auto bind_socket = [](const fs::path& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.string().copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return bound;
  };
  struct Kind {
    const char* what;
    std::function<bool(const fs::path&)> make;
  };
  const Kind kinds[] = {
      {"FIFO", [](const fs::path& name) { return ::mkfifo(name.c_str(), 0600) == 0; }},
      {"socket", bind_socket},
      {"directory", [](const fs::path& name) { return fs::create_directory(name); }},
      {"link to itself", [](const fs::path& name) { return ::symlink(name.filename().c_str(), name.c_str()) == 0; }},
      {"link to nothing", [](const fs::path& name) { return ::symlink("nowhere", name.c_str()) == 0; }},
      {"link to /dev/zero", [](const fs::path& name) { return ::symlink("/dev/zero", name.c_str()) == 0; }},
      {"character device",
       [](const fs::path& name) { return ::mknod(name.c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0; }},
      {"block device",
       [](const fs::path& name) { return ::mknod(name.c_str(), S_IFBLK | 0600, makedev(7, 250)) == 0; }},
  };
  for (const fs::path& name : {file(kNewer), record(kNewer)}) {
    const fs::path aside = temporary_.path() / "aside";
    fs::rename(name, aside);
    for (const auto& [what, make] : kinds) {
      if (!make(name)) {
        EXPECT_TRUE(contains(what, "device")) << what << " cannot be made";  // devices need root
        continue;
      }
      EXPECT_TRUE(is_passed_over()) << name << " is a " << what;
      EXPECT_FALSE(models_.store.verify(kNewer)) << what;
      EXPECT_FALSE(models_.store.select(AtPath{name.string()}, kRun)) << what;
      fs::remove_all(name);
    }
    fs::rename(aside, name);
  }
  EXPECT_TRUE(is_chosen_as_committed());
}

class AForgedSidecar : public AHostileDirectory {
 protected:
  // The newer pair's sidecar with `instead` in the place of `member`.
  std::string with(std::string_view member, std::string_view instead) const {
    std::string text = right_;
    const std::size_t at = text.find(member);
    EXPECT_NE(at, std::string::npos) << member;
    return text.replace(at, member.size(), instead);
  }

  void expect_passed_over(const std::vector<std::string>& texts) const {
    for (const std::string& text : texts) {
      write_text(record(kNewer), text);
      EXPECT_TRUE(is_passed_over()) << text.substr(0, 300);
    }
    write_text(record(kNewer), right_);
    EXPECT_TRUE(is_chosen_as_committed());
  }

  const std::string right_ = read_text(record(kNewer));
};

TEST_F(AForgedSidecar, P7_ThatIsNoJsonIsPassedOverWithASentence) {
  const auto and_also = [&](std::string_view member) { return with("{\n", "{\n" + std::string(member) + ",\n"); };
  const auto nested = [](std::size_t depth, const std::string& open, const std::string& close) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) text += open;
    for (std::size_t i = 0; i < depth; ++i) text += close;
    return text;
  };
  expect_passed_over({
      nested(20'000, "[", "]"),
      nested(10'000, "{\"a\":", ""),
      and_also("\"x\": " + nested(17, "[", "]")),
      and_also("\"x\": " + nested(10'000, "[", "]")),
      and_also("\"episode\": 20"),
      and_also("\"x\": {\"twice\": 1, \"twice\": 2}"),
      and_also("\"x\": NaN"),
      and_also("\"x\": -Infinity"),
      and_also("\"x\": 1e400"),
      and_also("\"x\": " + std::string(400, '9')),
      and_also("\"x\": \"\xff\xfe\""),
      and_also("\"x\": \"\xc0\xaf\""),
      and_also("\"x\": \"\xed\xa0\x80\""),
      and_also("\"x\": \"\\ud800\""),
      and_also("\"x\": \"\0\""s),
      and_also("\"x\": \"\n\""),
      and_also("\"x\": 'y'"),
      and_also("// a comment\n\"x\": 1"),
      and_also("\"x\": 01"),
      and_also("\"x\": tru"),
      "\xef\xbb\xbf" + right_,
      right_ + "}",
      right_ + "\0"s,
      right_ + right_,
      std::string(65'536, ' '),
      std::string(65'536, '\0'),
  });
}

TEST_F(AForgedSidecar, P7_ThatSpeaksOfAnotherFileOrFormatIsPassedOverWithASentence) {
  expect_passed_over({
      with("\"episode\": 20", "\"episode\": 10"),
      with("\"episode\": 20", "\"episode\": -20"),
      with("\"episode\": 20", "\"episode\": 20.0"),
      with("\"episode\": 20", "\"episode\": 18446744073709551636"),
      with("model_ep20.pt", "../../etc/shadow"),
      with("model_ep20.pt", "/etc/shadow"),
      with("model_ep20.pt", "model_ep10.pt"),
      with("model_ep20.pt", "./model_ep20.pt"),
      with("model_ep20.pt", "model_ep20.pt\\u0000.txt"),
      with("\"bytes\": ", "\"bytes\": 9"),
      with("\"bytes\": ", "\"bytes\": -"),
      with("\"bytes\": ", "\"bytes\": 9223372036854775807, \"x\": "),
      with("xxh3-128:", "sha256:"),
      with("\"format\": 1", "\"format\": 2"),
      with("\"format\": 1", "\"format\": 9223372036854775807"),
      with("\"format\": 1", "\"format\": 9223372036854775808"),
      with("\"format\": 1", "\"format\": 0"),
      with("\"format\": 1", "\"format\": \"1\""),
      with("\"run-1\"", "\"\""),
      with("\"run-1\"", "\"\\u001b[2J\""),
  });
}

// More than there is memory, were it read: only the size is looked at.
TEST_F(AHostileDirectory, P7_FilesOfAnySizeCostNothing) {
  for (const fs::path& name : {file(kNewer), record(kNewer), path() / kBestSidecar, path() / kBestSidecarNext}) {
    const bool was_there = fs::exists(name);
    const std::string right = was_there ? read_text(name) : "";
    write_text(name, "");
    fs::resize_file(name, std::uintmax_t{1} << 36);
    if (was_there) {
      EXPECT_TRUE(is_passed_over()) << name;
      EXPECT_FALSE(models_.store.verify(kNewer));
    }
    EXPECT_FALSE(models_.store.verify_best());
    EXPECT_TRUE(models_.writer.recover());
    fs::remove(name);
    if (was_there) write_text(name, right);
  }
  EXPECT_TRUE(is_chosen_as_committed());
}

// Whole pairs with fitting sidecars, so that only the name is wrong.
TEST_F(AHostileDirectory, P7_AWholePairUnderAnotherNameIsNotOurs) {
  std::set<std::string> hostile;
  for (const std::string& stem :
       {"model_ep030"s, "model_ep-30"s, "model_ep+30"s, "model_ep30 "s, "model_ep30\n"s,
        "model_ep00000000000000000030"s, "model_ep30000000000000000000"s, "model_ep18446744073709551646"s,
        "model_ep1000000000"s, "model_ep3e1"s, "Model_ep30"s, "model_ep\xd9\xa3"s, "model_ep30.pt"s, "-rf"s,
        "\x1b]0;x\a"s, ".model_ep30"s, "model_ep"s, "model_ep30\xff"s}) {
    std::string text = read_text(record(kNewer));
    text.replace(text.find("\"episode\": 20"), 13, "\"episode\": 30");
    text.replace(text.find("model_ep20.pt"), 13, "model_ep30.pt");
    fs::copy(file(kNewer), path() / (stem + ".pt"));
    write_text(path() / (stem + ".json"), text);
    hostile.insert({stem + ".pt", stem + ".json"});
  }
  const auto all_there = [&] {
    const auto names = names_below(path());
    return std::ranges::all_of(hostile, [&](const std::string& name) { return names.contains(name); });
  };
  ASSERT_TRUE(all_there());
  EXPECT_TRUE(choose().rejected.empty());
  EXPECT_TRUE(is_chosen_as_committed());
  EXPECT_EQ(models_.store.list()->episodes.size(), 2U);
  ASSERT_TRUE(models_.writer.recover());
  ASSERT_TRUE(models_.writer.prune(kRun, kNewer, {1, 0}));
  ASSERT_TRUE(models_.writer.quarantine_uncommitted_before(kNewer));
  ASSERT_TRUE(models_.writer.set_aside_newer_than(-1, {"profit", true}));
  EXPECT_TRUE(all_there()) << "swept, pruned or moved";
  EXPECT_FALSE(choose().newest);
}

// The names that the programs keep for themselves, occupied by something else.
TEST_F(AHostileDirectory, P7_OurOwnNamesTakenBySomethingElseLeadNowhere) {
  const fs::path elsewhere = temporary_.path() / "elsewhere";
  fs::create_directory(elsewhere);
  write_text(elsewhere / "precious", "untouched");
  const std::function<void(const fs::path&)> occupy[] = {
      [](const fs::path& name) { write_text(name, "rubbish"); },
      [](const fs::path& name) { fs::create_directory(name); },
      [](const fs::path& name) { ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0); },
      [&](const fs::path& name) { fs::create_symlink(elsewhere, name); },
      [&](const fs::path& name) { fs::create_symlink(elsewhere / "precious", name); },
  };
  for (const std::string& taken :
       {std::string(kIntentFile), std::string(kBestSidecarNext), std::string(kBestArchive), std::string(kBestSidecar),
        std::string(kSupersededDirectory), std::string(kQuarantineDirectory), temporary_name({archive_name(30), 1, 1}),
        pin_name(kNewer)}) {
    for (const auto& how : occupy) {
      how(path() / taken);
      const auto recovered = models_.writer.recover();
      if (!recovered) {
        EXPECT_TRUE(contains(recovered.error().message, taken)) << recovered.error().message;
      }
      const auto aside = models_.writer.set_aside_newer_than(kNewer + 5, {"profit", true});
      const auto moved = models_.writer.quarantine(std::vector<Rejection>{{kNewer + 5, "", Damage::proven}});
      const auto best = models_.writer.commit_best(small_archive(kNewer), sidecar_for(kNewer, 1.0));
      for (const std::string& sentence : {aside ? "." : aside.error().message, moved ? "." : moved.error().message,
                                          best ? "." : best.error().message}) {
        EXPECT_TRUE(sentence.ends_with('.')) << sentence;
      }
      EXPECT_TRUE(is_chosen_as_committed()) << taken;
      for (const std::string_view name :
           {kIntentFile, kBestSidecarNext, kBestArchive, kBestSidecar, kSupersededDirectory, kQuarantineDirectory}) {
        fs::remove_all(path() / name);
      }
      fs::remove_all(path() / taken);
      EXPECT_EQ(names_below(elsewhere), std::set<std::string>{"precious"}) << taken;
      EXPECT_EQ(read_text(elsewhere / "precious"), "untouched") << taken;
    }
  }
}

}  // namespace
}  // namespace ts::checkpoint
