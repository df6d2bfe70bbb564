// Evidence about real processes, gathered in bounded time whatever they and the debugger do (P8, P9, P11).
#include "supervisor/shell/evidence.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/child.h"
#include "tests/unit/supervisor/path_of_tools.h"

namespace ts::shell {
namespace {

using checkpoint::Directory;
using std::chrono::milliseconds;

class Evidence : public testing::Test {
 protected:
  Evidence() {
    for (const char* name : {"head", "ls"}) tools_.add_real(name);
    write_text(log_, "earlier attempt\nfirst line\nlast line\n");
  }

  const EvidencePart& part(const std::string& name) const {
    const auto at = std::find_if(parts_.begin(), parts_.end(), [&](const auto& p) { return p.name == name; });
    if (at == parts_.end()) throw std::runtime_error("no part " + name);
    return *at;
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(directory_ / name); }
  std::string text(const std::string& name) const { return read_text(directory_ / name); }

  void gather(const ProcessIdentity& worker, checkpoint::FileSystem& fs = checkpoint::posix_file_system()) {
    request_.worker = worker;
    request_.log_file = log_;
    const auto folder = Directory::open(directory_.path(), Directory::Create::no, fs);
    ASSERT_TRUE(folder) << folder.error().message;
    parts_ = EvidenceGatherer().gather(request_, *folder, stop_.get_token());
    for (const EvidencePart& p : parts_) {
      EXPECT_TRUE(p.bytes || !p.why_not.empty()) << p.name;
      EXPECT_TRUE(p.bytes.has_value() == exists(p.name) || leftovers_) << p.name;
      if (p.bytes) {
        EXPECT_EQ(*p.bytes, std::filesystem::file_size(directory_ / p.name)) << p.name;
      }
    }
  }
  PathOfTools tools_;
  TempDirectory directory_;
  TempDirectory other_;
  std::filesystem::path log_ = other_ / "worker.log";
  std::stop_source stop_;
  EvidenceRequest request_;
  std::vector<EvidencePart> parts_;
  bool leftovers_ = false;  // the disk refuses to remove files, too
};

// With each of the debuggers that are installed.
class EvidenceByDebugger : public Evidence, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    if (!tools_.add_real(GetParam())) GTEST_SKIP() << GetParam() << " is not installed";
    request_.tool.deadline = std::chrono::seconds{50};  // a loaded machine, a large test program
    request_.deadline = std::chrono::seconds{55};
  }
};

INSTANTIATE_TEST_SUITE_P(Real, EvidenceByDebugger, testing::Values("gdb", "eu-stack"),
                         [](const auto& param) { return std::string(param.param) == "gdb" ? "gdb" : "eu_stack"; });

ProcessIdentity dead_process() {
  Child child(sleep_for_ever);
  const ProcessIdentity identity = child.identity();
  child.end();
  return identity;
}

void run_threads() {
  for (const char* name : {"loader-1", "loader-2"}) {
    std::thread thread(sleep_for_ever);
    ::pthread_setname_np(thread.native_handle(), name);
    thread.detach();
  }
  sleep_for_ever();
}

void await_threads(const Child& child) {
  const std::string tasks = "/proc/" + std::to_string(child.pid()) + "/task";
  const auto last_is_named = [&] {
    const auto threads = numbers_in(tasks, 9);
    return std::any_of(threads.begin(), threads.end(), [&](pid_t thread) {
      return read_proc(tasks + "/" + std::to_string(thread) + "/comm") == "loader-2\n";
    });
  };
  for (int i = 0; i < 2000 && !last_is_named(); ++i) ::usleep(10'000);
}

TEST_F(Evidence, P11_OfALivingWorkerNamesItsThreadsFilesAndMemory) {
  const Child child([&] {
    ::open(log_.c_str(), O_RDONLY);
    run_threads();
  });
  await_threads(child);
  gather(child.identity());
  EXPECT_NE(text("threads.txt").find("\tS\t"), std::string::npos) << text("threads.txt");
  EXPECT_NE(text("threads.txt").find("\tloader-1\n"), std::string::npos) << text("threads.txt");
  EXPECT_NE(text("process.txt").find(kThreadSanitizer ? "Threads:\t" : "Threads:\t3"), std::string::npos);
  EXPECT_NE(text("files.txt").find(log_.string()), std::string::npos) << text("files.txt");
  EXPECT_NE(text("memory.txt").find("Rss:"), std::string::npos);
  EXPECT_NE(text("host.txt").find("MemAvailable:"), std::string::npos);
  EXPECT_EQ(part("stacks.txt").why_not, "neither gdb nor eu-stack is installed (Debian: the packages gdb, elfutils)");
  EXPECT_EQ(part("gpu.txt").why_not, "nvidia-smi is not installed");
}

TEST_P(EvidenceByDebugger, P11_HoldsTheStacksOfAllThreadsAndTheWorkerGoesOn) {
  const Child child(run_threads);
  await_threads(child);
  gather(child.identity());
  if (text("stacks.txt").find("Operation not permitted") != std::string::npos) GTEST_SKIP() << "no ptrace here";
  const std::string stacks = text("stacks.txt");
  for (const pid_t thread : numbers_in("/proc/" + std::to_string(child.pid()) + "/task", 9)) {
    EXPECT_NE(stacks.find(std::to_string(thread)), std::string::npos) << stacks;
  }
  EXPECT_NE(stacks.find("pause"), std::string::npos) << stacks;
  EXPECT_EQ(part("stacks.txt").why_not, "");
  EXPECT_TRUE(child.comes_to("S")) << child.state();
}

TEST_P(EvidenceByDebugger, P9_OfAWorkerInStateDIsGatheredInItsTime) {
  if (kThreadSanitizer) GTEST_SKIP() << "no state D with ThreadSanitizer";
  const Child child(wait_uninterruptibly);
  ASSERT_TRUE(child.comes_to("D"));
  request_.tool.deadline = std::chrono::seconds{2};
  gather(child.identity());
  EXPECT_NE(part("stacks.txt").why_not, "");
  EXPECT_NE(text("threads.txt").find("\tD\t"), std::string::npos) << text("threads.txt");
  EXPECT_TRUE(child.comes_to("D"));
  // What the debugger sent does not stop it later, when the kernel lets it go.
  const auto family = members_of(child.pid());
  ASSERT_EQ(family.size(), 2U);
  ::kill(family.back(), SIGKILL);
  EXPECT_TRUE(child.comes_to("ZT"));
  EXPECT_EQ(child.state(), 'Z');
}

TEST_F(Evidence, P9_WaitsForADebuggerThatHangsNoLongerThanItsTimeAndTheWorkerGoesOn) {
  const Child child(sleep_for_ever);
  // Attaches by a stop signal, as all do, and hangs; so does a child of its own.
  tools_.add("gdb",
             "while [ $# -gt 1 ] && [ \"$1\" != -p ]; do shift; done; kill -STOP $2; "
             "sleep 1000 & echo child $!; sleep 1000");
  request_.tool.deadline = std::chrono::seconds{2};
  gather(child.identity());
  EXPECT_EQ(part("stacks.txt").why_not, "gdb was ended after 2s");
  ASSERT_EQ(text("stacks.txt").substr(0, 6), "child ");
  EXPECT_TRUE(is_gone(std::stoi(text("stacks.txt").substr(6))));
  EXPECT_TRUE(child.comes_to("S")) << "the worker was left stopped: " << child.state();
}

TEST_F(Evidence, TakesBackTheStopOfADebuggerThatEndsByItself) {
  const Child child(sleep_for_ever);
  tools_.add("gdb", "while [ $# -gt 1 ] && [ \"$1\" != -p ]; do shift; done; kill -STOP $2; echo stack");
  gather(child.identity());
  EXPECT_EQ(text("stacks.txt"), "stack\n");
  EXPECT_TRUE(child.comes_to("S")) << child.state();
}

TEST_F(Evidence, LeavesAWorkerThatWasStoppedAsItIs) {
  const Child child([] { ::raise(SIGSTOP); });
  ASSERT_TRUE(child.comes_to("T"));
  tools_.add("gdb", "echo stack; sleep 1000");
  request_.tool.deadline = milliseconds{300};
  gather(child.identity());
  EXPECT_EQ(child.state(), 'T');
  EXPECT_NE(text("threads.txt").find("\tT\t"), std::string::npos);
}

TEST_F(Evidence, AsksEuStackWhereThereIsNoGdb) {
  const Child child(sleep_for_ever);
  tools_.add("eu-stack", "echo \"eu-stack $*\"");
  gather(child.identity());
  EXPECT_EQ(text("stacks.txt"), "eu-stack -n 40 -p " + std::to_string(child.pid()) + "\n");
}

TEST_F(Evidence, P11_SaysWhyADebuggerCouldNotAttach) {
  const Child child(sleep_for_ever);
  tools_.add("gdb", "echo 'Could not attach to process. ptrace: Operation not permitted.'");
  gather(child.identity());
  EXPECT_NE(part("stacks.txt").why_not.find("kernel.yama.ptrace_scope"), std::string::npos);
  EXPECT_TRUE(part("stacks.txt").bytes);
}

TEST_F(Evidence, OfTheGpusIsWhatNvidiaSmiPrints) {
  tools_.add("nvidia-smi", "echo '| 0  N/A  4711  C  trainer  1024MiB |'");
  gather(dead_process());
  EXPECT_NE(text("gpu.txt").find("1024MiB"), std::string::npos);
}

TEST_F(Evidence, OfADeadWorkerIsItsLogItsBeatsAndItsMachine) {
  request_.beats = {{std::chrono::system_clock::time_point(milliseconds{1'000}), "episode 3"}};
  request_.log_offset = std::string("earlier attempt\n").size();
  gather(dead_process());
  EXPECT_EQ(text("log.txt"), "first line\nlast line\n");
  EXPECT_EQ(text("beats.txt"), "1970-01-01T00:00:01.000Z  episode 3\n");
  EXPECT_TRUE(part("host.txt").bytes);
  for (const char* name : {"threads.txt", "stacks.txt", "process.txt", "files.txt", "memory.txt"}) {
    EXPECT_EQ(part(name).why_not, "the worker has ended") << name;
  }
}

TEST_F(Evidence, P7_HoldsNoControlCharacterWhateverTheWorkerIsCalledAndSays) {
  write_text(log_, "\x1b[2J\x07 bar\r 50 %\xff\n\tindented \xc3\xa4\n");
  request_.beats = {{{}, "status \x1b]0;title\x07 with\na newline"}};
  tools_.add("gdb", "printf 'frame \\033[31m\\n'");
  const Child child([] {
    ::prctl(PR_SET_NAME, "\x1b[2J)\n(");
    sleep_for_ever();
  });
  ASSERT_TRUE(child.comes_to("S"));
  gather(child.identity());
  for (const auto& [name, content] : contents_of(directory_.path())) {
    const bool clean = std::none_of(content.begin(), content.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t';
    });
    EXPECT_TRUE(clean) << name;
  }
  EXPECT_EQ(text("log.txt"), "\\x1b[2J\\x07 bar\\x0d 50 %\\xff\n\tindented \xc3\xa4\n");
  EXPECT_NE(text("beats.txt").find("with\\x0aa newline\n"), std::string::npos);
  EXPECT_NE(text("threads.txt").find("\t\\x1b[2J)\\x0a(\n"), std::string::npos) << text("threads.txt");
}

TEST_F(Evidence, OfTheLogIsItsEnd) {
  const auto log_text = [&](const std::string& content, std::uint64_t offset) {
    std::filesystem::remove(directory_ / "log.txt");
    std::filesystem::remove(directory_ / "host.txt");
    write_text(log_, content);
    request_.log_offset = offset;
    gather({});
    return exists("log.txt") ? text("log.txt") : part("log.txt").why_not;
  };
  std::string lines;
  for (int i = 1; i <= 500; ++i) lines += "line " + std::to_string(i) + "\n";
  const std::string tail = log_text(lines, 0);
  EXPECT_EQ(tail.substr(0, 9), "line 301\n");
  EXPECT_EQ(std::count(tail.begin(), tail.end(), '\n'), 200);
  EXPECT_EQ(log_text(std::string(500'000, 'x'), 0).size(), 65'536U);
  EXPECT_EQ(log_text("cut meanwhile\n", 1'000), "cut meanwhile\n");
  EXPECT_EQ(log_text("all of it\n", 10), "this attempt has printed nothing");
}

TEST_F(Evidence, P7_OfALogThatIsNoFileIsASentence) {
  std::filesystem::remove(log_);
  gather({});
  EXPECT_NE(part("log.txt").why_not.find("cannot be read"), std::string::npos);
  std::filesystem::remove(directory_ / "host.txt");
  ASSERT_EQ(::mkfifo(log_.c_str(), 0600), 0);
  gather({});
  EXPECT_NE(part("log.txt").why_not.find("cannot be read"), std::string::npos);
}

TEST_F(Evidence, P9_ThatThereIsNoTimeForIsLeftOutAndSaysSo) {
  const Child child(sleep_for_ever);
  request_.deadline = milliseconds{0};
  gather(child.identity());
  for (const EvidencePart& p : parts_) EXPECT_NE(p.why_not.find("no time was left: 0ms"), std::string::npos) << p.name;
  request_.deadline = std::chrono::minutes{1};
  stop_.request_stop();
  gather(child.identity());
  for (const EvidencePart& p : parts_) EXPECT_EQ(p.why_not, "the supervisor could not wait for it") << p.name;
}

TEST_F(Evidence, P8_ThatADiskDoesNotTakeIsASentenceWhicheverCallFails) {
  request_.beats = {{{}, "beat"}};
  for (const bool for_ever : {false, true}) {
    for (std::size_t at = 1;; ++at) {
      for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove(entry);
      checkpoint::FakeFileSystem fs({.kind = checkpoint::Fault::Kind::error,
                                     .calls = checkpoint::Fault::Calls::changes,
                                     .error = ENOSPC,
                                     .at = at,
                                     .for_ever = for_ever});
      leftovers_ = for_ever;
      gather({}, fs);
      EXPECT_TRUE(fs.violations().empty());
      if (!fs.fired()) break;
      const auto refused = std::count_if(parts_.begin(), parts_.end(), [](const auto& p) {
        return p.why_not.find("No space left on device") != std::string::npos;
      });
      EXPECT_GE(refused, 1) << at;
    }
  }
}

TEST(LastLines, AreThatMany) {
  EXPECT_EQ(last_lines("a\nb\nc\n", 2), "b\nc\n");
  EXPECT_EQ(last_lines("a\nb\nc", 2), "b\nc");
  EXPECT_EQ(last_lines("a\nb\n", 2), "a\nb\n");
  EXPECT_EQ(last_lines("\n\n\n", 2), "\n\n");
  EXPECT_EQ(last_lines("a", 1), "a");
  EXPECT_EQ(last_lines("", 3), "");
  EXPECT_EQ(last_lines("\n", 3), "\n");
}

}  // namespace
}  // namespace ts::shell
