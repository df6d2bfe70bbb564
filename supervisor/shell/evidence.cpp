#include "supervisor/shell/evidence.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "common/base/find_program.h"
#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "supervisor/shell/host_facts.h"

namespace ts::shell {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint64_t kLogTailBytes = 65'536;
constexpr std::size_t kLogTailLines = 200;
constexpr std::size_t kPartBytesMax = std::size_t{1} << 20;
constexpr std::size_t kThreadsMax = 512;
constexpr std::size_t kStacksMax = 64;    // kernel stacks
constexpr std::size_t kFamilyMax = 16;    // members of the group besides the leader
constexpr const char* kFramesMax = "40";  // of a stack
constexpr const char* kProcFileBytes = "65536";
// Evidence never takes the room that a checkpoint needs.
constexpr std::uint64_t kFreeBytesMin = std::uint64_t{64} << 20;

// The content of a part, or why there is none, or both.
struct Content {
  std::string text;
  std::string why_not;
};

Content nothing(std::string why) {
  return {{}, std::move(why)};
}

class Gathering {
 public:
  Gathering(const EvidenceRequest& request, const checkpoint::Directory& folder, ToolRunner& tools,
            const std::stop_token& stop)
      : request_(request), folder_(folder), tools_(tools), stop_(stop), until_(Clock::now() + request.deadline) {}

  std::vector<EvidencePart> run();

 private:
  using Collect = Content (Gathering::*)();

  enum class Of { anything, living };  // living: of the worker's process, pointless when it has ended

  void part(const char* name, Of of, Collect collect);
  Result<> keep(EvidencePart& part, const std::string& text);

  Content beats();
  Content log_tail();
  Content threads();
  Content process();
  Content open_files();
  Content host();
  Content stacks();
  Content kernel_stacks();
  Content memory();
  Content gpu();

  std::string why_no_time() const;
  Content tool(const std::vector<std::string>& arguments);
  Content head(const std::vector<std::string>& files);
  Content debugger(const std::vector<std::string>& arguments);
  std::optional<char> state() const;
  void let_go_on(int pidfd) const;
  std::string proc(std::string_view name) const { return proc(request_.worker.pid, name); }
  static std::string proc(pid_t pid, std::string_view name) {
    return "/proc/" + std::to_string(pid) + "/" + std::string(name);
  }

  const EvidenceRequest& request_;
  const checkpoint::Directory& folder_;
  ToolRunner& tools_;
  const std::stop_token& stop_;
  Clock::time_point until_;
  std::vector<EvidencePart> parts_;
};

// What is quick and cannot fail comes first, then what is most telling.
std::vector<EvidencePart> Gathering::run() {
  part("beats.txt", Of::anything, &Gathering::beats);
  part("log.txt", Of::anything, &Gathering::log_tail);
  part("threads.txt", Of::living, &Gathering::threads);
  part("stacks.txt", Of::living, &Gathering::stacks);
  part("kernel_stacks.txt", Of::living, &Gathering::kernel_stacks);
  part("process.txt", Of::living, &Gathering::process);
  part("files.txt", Of::living, &Gathering::open_files);
  part("host.txt", Of::anything, &Gathering::host);
  part("memory.txt", Of::living, &Gathering::memory);
  part("gpu.txt", Of::anything, &Gathering::gpu);
  return std::move(parts_);
}

void Gathering::part(const char* name, Of of, Collect collect) {
  EvidencePart out{name, std::nullopt, {}};
  try {
    Content content = nothing(why_no_time());
    if (content.why_not.empty()) {
      const bool pointless = of == Of::living && !is_alive(request_.worker);
      content = pointless ? nothing("the worker has ended") : (this->*collect)();
    }
    out.why_not = std::move(content.why_not);
    if (content.text.empty() && out.why_not.empty()) out.why_not = "there is nothing to see";
    const auto kept = content.text.empty() ? Result<>() : keep(out, content.text);
    if (!kept) out.why_not = kept.error().message;
  } catch (const std::exception& error) {  // out of memory, most likely: the other parts may be smaller
    out.why_not = std::string("gathering it failed: ") + error.what();
  }
  parts_.push_back(std::move(out));
}

Result<> Gathering::keep(EvidencePart& part, const std::string& text) {
  const auto free = folder_.free_bytes();
  if (free && *free < kFreeBytesMin) {
    return make_error(ErrorKind::cannot_write, "only " + human_bytes(*free) + " are free on the disk of " +
                                                   folder_.path_of("") + ", which are left for checkpoints.");
  }
  const std::string shown = shorten(printable(text), kPartBytesMax);
  const auto written = folder_.write_synced(part.name, std::as_bytes(std::span(shown)));
  if (!written) return written.error();
  part.bytes = shown.size();
  return {};
}

std::string Gathering::why_no_time() const {
  if (stop_.stop_requested()) return "the supervisor could not wait for it";
  if (Clock::now() >= until_)
    return "no time was left: " + human_duration(request_.deadline) + " are given to all evidence";
  return {};
}

Content Gathering::tool(const std::vector<std::string>& arguments) {
  ToolLimits limits = request_.tool;
  const auto left = std::chrono::ceil<milliseconds>(until_ - Clock::now());
  limits.deadline = std::max(milliseconds{1}, std::min(limits.deadline, left));
  ToolRun run = tools_.run(arguments, limits, stop_);
  // A program that complains of one thing and shows the rest has done its work.
  const bool done = run.complete && !run.output.empty();
  return {std::move(run.output), done || run.trouble.empty() ? std::string() : arguments.front() + " " + run.trouble};
}

Content Gathering::head(const std::vector<std::string>& files) {
  std::vector<std::string> arguments{"head", "-v", "-c", kProcFileBytes};
  arguments.insert(arguments.end(), files.begin(), files.end());
  return tool(arguments);
}

Content Gathering::beats() {
  if (request_.beats.empty()) return nothing("the worker has given no sign of life");
  Content out;
  // By line: a beat that holds a newline is still one line.
  for (const Beat& beat : request_.beats) {
    out.text += rfc3339_utc(beat.time) + "  " + escape_control(beat.text) + "\n";
  }
  return out;
}

Content Gathering::log_tail() {
  const std::string name = escape_control(request_.log_file.string());
  const UniqueFd file(::open(request_.log_file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return nothing(name + " cannot be read");
  }
  const auto all = static_cast<std::uint64_t>(status.st_size);
  const std::uint64_t size = request_.log_end == 0 ? all : std::min(all, request_.log_end);
  const std::uint64_t begin = request_.log_offset <= size ? request_.log_offset : 0;  // it was cut meanwhile
  const std::uint64_t from = std::max(begin, size > kLogTailBytes ? size - kLogTailBytes : 0);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  const auto count = ::pread(file.get(), text.data(), text.size(), static_cast<off_t>(from));
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  if (text.empty()) return nothing("this attempt has printed nothing");
  return {std::string(last_lines(text, kLogTailLines)), {}};
}

Content Gathering::threads() {
  const std::string tasks = proc("task");
  Content out;
  for (const pid_t thread : numbers_in(tasks, kThreadsMax)) {
    const std::string path = tasks + "/" + std::to_string(thread) + "/";
    const auto line = read_proc(path + "stat");
    const auto stat = line ? facts_from_stat(*line) : std::nullopt;
    if (!stat) continue;
    const std::string waits = read_proc(path + "wchan").value_or("");
    out.text += std::to_string(thread) + "\t" + stat->state + "\t" +
                (waits.empty() || waits == "0" ? "-" : escape_control(waits)) + "\t" + escape_control(stat->command) +
                "\n";
  }
  if (out.text.empty()) return nothing("its threads cannot be read");
  out.text.insert(0, "thread\tstate\twaits in the kernel at\tname\n");
  return out;
}

Content Gathering::process() {
  std::vector<std::string> files;
  for (const char* name : {"status", "stat", "wchan", "limits", "cgroup", "oom_score", "io", "syscall"}) {
    files.push_back(proc(name));
  }
  auto family = members_of(request_.worker.pid);
  std::erase(family, request_.worker.pid);
  family.resize(std::min(family.size(), kFamilyMax));
  for (const pid_t pid : family) {
    for (const char* name : {"status", "wchan"}) files.push_back(proc(pid, name));
  }
  return head(files);
}

Content Gathering::open_files() {
  return tool({"ls", "-lnv", proc("fd")});
}

Content Gathering::host() {
  return head({"/proc/loadavg", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io", "/proc/meminfo"});
}

Content Gathering::kernel_stacks() {
  if (::geteuid() != 0) return nothing("the kernel shows these to root only");
  std::vector<std::string> files;
  const std::string tasks = proc("task");
  for (const pid_t thread : numbers_in(tasks, kStacksMax)) {
    files.push_back(tasks + "/" + std::to_string(thread) + "/stack");
  }
  return files.empty() ? nothing("its threads cannot be read") : head(files);
}

Content Gathering::memory() {
  return head({proc("cmdline"), proc("smaps_rollup")});
}

Content Gathering::gpu() {
  if (!find_program("nvidia-smi")) return nothing("nvidia-smi is not installed");
  return tool({"nvidia-smi"});
}

Content Gathering::stacks() {
  const std::string pid = std::to_string(request_.worker.pid);
  if (find_program("gdb")) {
    // Nothing is asked of a server, and no script is run that a library of the worker's brings along.
    return debugger({"gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex",
                     "set auto-load python-scripts off", "-p", pid, "-ex",
                     std::string("thread apply all bt ") + kFramesMax});
  }
  if (find_program("eu-stack")) return debugger({"eu-stack", "-n", kFramesMax, "-p", pid});
  return nothing("neither gdb nor eu-stack is installed (Debian: the packages gdb, elfutils)");
}

Content Gathering::debugger(const std::vector<std::string>& arguments) {
  // By pidfd: the number may be another's by the time the debugger is done.
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, request_.worker.pid, 0)));
  if (!pidfd || !is_alive(request_.worker)) return nothing("the worker has ended");
  const auto before = state();
  if (before == 't') return nothing("a debugger is attached to it already");
  Content out = tool(arguments);
  if (before != 'T') let_go_on(pidfd.get());
  if (out.why_not.empty() && out.text.find("Operation not permitted") != std::string::npos) {
    out.why_not =
        "the system did not let " + arguments.front() +
        " attach: the sysctl kernel.yama.ptrace_scope must be 0, and a service's SystemCallFilter= must allow "
        "ptrace";
  }
  return out;
}

std::optional<char> Gathering::state() const {
  const auto text = read_proc(proc("stat"));
  const auto stat = text ? facts_from_stat(*text) : std::nullopt;
  if (!stat) return std::nullopt;
  return stat->state;
}

// A debugger attaches by way of a SIGSTOP. If it ends before it has seen it arrive, the worker stays stopped, or stops
// as soon as the kernel lets it: SIGCONT ends the one and takes back the other. Sent whatever is seen: a SIGSTOP may
// still be on its way, and to a worker that runs it says nothing.
void Gathering::let_go_on(int pidfd) const {
  constexpr int kLooks = 50;
  constexpr milliseconds kPause{20};
  auto now = state();
  for (int i = 0; now == 't' && i < kLooks; ++i) {  // until the kernel has detached it
    std::this_thread::sleep_for(kPause);
    now = state();
  }
  ::syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, nullptr, 0);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, text.find_first_of("\n\t"));
    out += escape_control(piece);
    text.remove_prefix(piece.size());
    if (text.empty()) break;
    out += text.front();
    text.remove_prefix(1);
  }
  return out;
}

std::string_view last_lines(std::string_view text, std::size_t lines_max) {
  std::size_t begin = text.ends_with('\n') ? text.size() - 1 : text.size();
  for (std::size_t lines = 0; lines < lines_max; ++lines) {
    if (begin == 0) return text;
    const std::size_t newline = text.rfind('\n', begin - 1);
    if (newline == std::string_view::npos) return text;
    begin = newline;
  }
  return text.substr(std::min(begin + 1, text.size()));
}

std::vector<EvidencePart> EvidenceGatherer::gather(const EvidenceRequest& request, const checkpoint::Directory& folder,
                                                   const std::stop_token& stop) {
  return Gathering(request, folder, tools_, stop).run();
}

}  // namespace ts::shell
