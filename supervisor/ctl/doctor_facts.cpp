// The doctor's facts. Reads only; what cannot be read is left out, and no program is started.
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "common/base/find_program.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/directory_lock.h"
#include "common/checkpoint/set_aside.h"
#include "common/checkpoint/store.h"
#include "supervisor/api/version.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/doctor.h"

namespace ts::ctl::doctor {
namespace {

namespace fs = std::filesystem;
using checkpoint::Directory;

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;  // of /proc, /sys and the like
constexpr std::size_t kEntriesMax = 100'000;                 // looked at in quarantine/ and superseded/

std::string read_small(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string out(kFileBytesMax, '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return out;
}

std::string name_of_user(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  const bool known = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
  return known ? entry.pw_name : "user " + std::to_string(uid);
}

// The line of the mount that a device number belongs to: kind and options.
void find_mount(const fs::path& path, DirectoryFacts& facts) {
  std::error_code error;
  const std::string wanted = fs::weakly_canonical(path, error).string();
  std::istringstream lines(read_small("/proc/self/mountinfo"));
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, point, options, word, kind, source, more;
    if (!(words >> id >> parent >> device >> root >> point >> options)) continue;
    while (words >> word && word != "-") {
    }
    words >> kind >> source >> more;
    const bool below = wanted == point || point == "/" || wanted.starts_with(point + "/");
    if (!below || point.size() < longest) continue;  // of two on one point the later one counts
    longest = point.size();
    facts.kind = kind;
    facts.options = "," + options + "," + more + ",";
  }
}

double seconds_of(const struct timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Bytes of the regular files below, and how many folders lie in it that hold more than the reason for what was there.
std::pair<std::uint64_t, std::uint64_t> sum_below(const fs::path& directory) {
  std::uint64_t bytes = 0;
  std::set<fs::path> folders;
  std::size_t entries = 0;
  std::error_code error;
  fs::recursive_directory_iterator at(directory, fs::directory_options::skip_permission_denied, error);
  for (; !error && at != fs::recursive_directory_iterator() && entries < kEntriesMax; at.increment(error), ++entries) {
    std::error_code unreadable;
    const auto type = at->symlink_status(unreadable).type();
    const bool in_a_folder = type == fs::file_type::regular && at.depth() == 1;
    if (in_a_folder && at->path().filename() != checkpoint::kReasonFile) folders.insert(at->path().parent_path());
    const std::uint64_t size = type == fs::file_type::regular ? at->file_size(unreadable) : 0;
    if (!unreadable) bytes += size;
  }
  return {bytes, folders.size()};
}

std::uint64_t kib_of(const std::string& meminfo, const std::string& name) {
  const std::size_t at = meminfo.find(name + ":");
  return at == std::string::npos ? 0 : std::strtoull(meminfo.c_str() + at + name.size() + 1, nullptr, 10) * 1024;
}

// The narrowest limit from our control group up: `file` holds a number, or "max".
template <class Use>
void for_each_group(const std::string& file, Use&& use) {
  std::istringstream lines(read_small("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("0::")) continue;
    for (fs::path group = line.substr(3);; group = group.parent_path()) {
      const fs::path there = fs::path("/sys/fs/cgroup") / group.relative_path();
      use(read_small(there / file));
      if (!group.has_relative_path()) return;
    }
  }
}

std::optional<checkpoint::Sidecar> newest_sidecar(const config::Config& config) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return std::nullopt;
  const checkpoint::Store store(*directory);
  const auto listing = store.list();
  if (!listing) return std::nullopt;
  for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
    const auto sidecar = store.read_sidecar(at->first);
    if (sidecar) return *sidecar;
  }
  return std::nullopt;
}

}  // namespace

DirectoryFacts look_at_directory(std::string check, const fs::path& path) {
  DirectoryFacts facts;
  facts.check = std::move(check);
  facts.path = path.string();
  facts.user = name_of_user(::geteuid());
  fs::path where = path;  // it, or the nearest one above that is there
  struct stat status {};
  while (::stat(where.c_str(), &status) != 0) {
    const int error = errno;
    const fs::path above = where.has_parent_path() ? where.parent_path() : fs::path(".");
    if (error != ENOENT || above == where) {
      facts.trouble = std::strerror(error);
      return facts;
    }
    where = above;
  }
  facts.exists = where == path;
  if (!S_ISDIR(status.st_mode)) {
    facts.trouble = where.string() + " is no directory";
    return facts;
  }
  facts.owner = name_of_user(status.st_uid);
  facts.mode = status.st_mode & 07777U;
  facts.writable = ::faccessat(AT_FDCWD, where.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
  struct statvfs space {};
  if (::statvfs(where.c_str(), &space) == 0) {
    facts.free_bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
    facts.total_inodes = space.f_files;
    facts.free_inodes = space.f_favail;
  }
  find_mount(where, facts);
  return facts;
}

SpaceFacts look_at_space(const config::Config& config) {
  SpaceFacts facts;
  facts.free_bytes = look_at_directory("models", config.checkpoints.directory).free_bytes;
  facts.episodes_left = config.training.episodes;
  const auto newest = newest_sidecar(config);
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!newest || !directory) return facts;
  facts.pair_bytes = newest->bytes;
  facts.episodes_left = std::max<std::int64_t>(0, config.training.episodes - newest->episode);
  const auto listing = checkpoint::Store(*directory).list();
  if (!listing) return facts;
  facts.best = listing->best_archive;
  std::optional<double> first;
  std::int64_t first_episode = 0;
  double last = 0.0;
  for (const auto& [episode, files] : listing->episodes) {
    struct stat status {};
    const bool there = ::fstatat(directory->fd(), checkpoint::sidecar_name(episode).c_str(), &status, 0) == 0;
    if (!there || !files.archive) continue;
    ++facts.pairs;
    last = seconds_of(status.st_mtim);
    if (!first) {
      first = last;
      first_episode = episode;
    }
  }
  if (first && last > *first && newest->episode > first_episode) {
    facts.episodes_per_s = static_cast<double>(newest->episode - first_episode) / (last - *first);
  }
  return facts;
}

// The kernel's own list: trying the lock would keep somebody out who wants it in that moment.
LockFacts look_at_lock(const fs::path& directory, const std::string& name) {
  LockFacts facts;
  facts.path = (directory / name).string();
  const auto opened = Directory::open(directory, Directory::Create::no);
  if (!opened) return facts;
  if (const auto record = checkpoint::read_lock_record(*opened, name)) {
    facts.recorded = record->pid;
    facts.program = record->program;
  }
  struct stat status {};
  if (::stat(facts.path.c_str(), &status) != 0) return facts;
  std::istringstream lines(read_small("/proc/locks"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, type, where;
    std::int64_t pid = 0;
    if (!(words >> number >> kind >> advisory >> type >> pid >> where) || kind != "FLOCK") continue;
    unsigned major = 0;
    unsigned minor = 0;
    unsigned long long inode = 0;
    if (std::sscanf(where.c_str(), "%x:%x:%llu", &major, &minor, &inode) != 3 || inode != status.st_ino) continue;
    // btrfs tells another device here than stat does; the holder that the file names is believed all the same.
    const bool same_device = major == ::major(status.st_dev) && minor == ::minor(status.st_dev);
    if (same_device || pid == facts.recorded) facts.holders.push_back(pid);
  }
  return facts;
}

LeftoverFacts look_at_leftovers(const fs::path& models, bool in_use) {
  LeftoverFacts facts;
  facts.directory = models.string();
  facts.in_use = in_use;
  const auto directory = Directory::open(models, Directory::Create::no);
  if (!directory) return facts;
  if (const auto listing = checkpoint::Store(*directory).list()) {
    facts.temporaries = listing->temporaries.size();
    facts.intent = listing->intent;
  }
  const auto quarantine = sum_below(models / checkpoint::kQuarantineDirectory);
  facts.quarantine_bytes = quarantine.first;
  facts.quarantine_folders = quarantine.second;
  facts.superseded_bytes = sum_below(models / checkpoint::kSupersededDirectory).first;
  return facts;
}

SupervisorFacts look_at_supervisor(const fs::path& socket) {
  using Answer = SupervisorFacts::Answer;
  SupervisorFacts facts;
  facts.socket = socket.string();
  facts.own_version = api::kVersion;
  struct stat status {};
  if (::stat(socket.c_str(), &status) != 0) {
    facts.answer = errno == EACCES ? Answer::no_permission : Answer::no_socket;
    facts.owner = "somebody else";
    return facts;
  }
  facts.owner = name_of_user(status.st_uid);
  facts.mode = status.st_mode & 07777U;
  if (::faccessat(AT_FDCWD, socket.c_str(), W_OK, AT_EACCESS) != 0) {
    facts.answer = Answer::no_permission;
    return facts;
  }
  const auto reply = Client(socket).request("GET", "/v1/status");
  if (!reply) {
    const bool refused = reply.error().message.find("no supervisor answers") != std::string::npos;
    facts.answer = refused ? Answer::nobody : Answer::no_answer;
    facts.why = reply.error().message;
    return facts;
  }
  const auto document = parse_json(reply->body, "its answer", kFileBytesMax);
  if (reply->status != 200 || !document || !document->is_object()) {
    facts.answer = Answer::no_answer;
    facts.why = "what it says is no status.";
    return facts;
  }
  facts.answer = Answer::yes;
  facts.version = string_member(document->get_object(), "version").value_or("?");
  facts.state = string_member(document->get_object(), "state").value_or("?");
  facts.reason = string_member(document->get_object(), "reason").value_or("?");
  return facts;
}

MachineFacts look_at_machine(const config::Config& config) {
  MachineFacts facts;
  cpu_set_t allowed;
  facts.cpus =
      ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : ::sysconf(_SC_NPROCESSORS_ONLN);
  for_each_group("cpu.max", [&](const std::string& text) {
    std::istringstream words(text);
    double quota = 0.0;
    double period = 0.0;
    if (!(words >> quota >> period) || !(period > 0.0)) return;  // "max 100000"
    facts.cpu_limit = std::min(facts.cpu_limit.value_or(1e9), quota / period);
  });
  for_each_group("memory.max", [&](const std::string& text) {
    const auto limit = parse_plain_integer(text.substr(0, text.find('\n')));
    if (!limit) return;
    facts.memory_limit = std::min(facts.memory_limit.value_or(UINT64_MAX), static_cast<std::uint64_t>(*limit));
  });
  facts.threads = config.training.threads;
  const std::string meminfo = read_small("/proc/meminfo");
  facts.memory_total = kib_of(meminfo, "MemTotal");
  facts.memory_available = kib_of(meminfo, "MemAvailable");
  facts.swap_total = kib_of(meminfo, "SwapTotal");
  facts.overcommit = std::atoi(read_small("/proc/sys/vm/overcommit_memory").c_str());
  const auto newest = newest_sidecar(config);
  const std::time_t now = std::time(nullptr);
  if (newest && config.snapshots.enabled && newest->bytes <= config.snapshots.max_bytes) {
    facts.snapshot_bytes = newest->bytes;
  }
  constexpr std::chrono::minutes kAllowance{5};
  facts.newest_in_future =
      newest && newest->created > rfc3339_utc(std::chrono::system_clock::from_time_t(now) + kAllowance);
  struct timex clock {};
  facts.clock_synchronized =
      ::adjtimex(&clock) != TIME_ERROR || ::access("/run/systemd/timesync/synchronized", F_OK) == 0;
  std::tm calendar{};
  ::gmtime_r(&now, &calendar);
  facts.year = calendar.tm_year + 1900;
  facts.debugger = find_program("gdb") || find_program("eu-stack");
  const std::string scope = read_small("/proc/sys/kernel/yama/ptrace_scope");
  if (!scope.empty() && ::geteuid() != 0) facts.ptrace_scope = std::atoi(scope.c_str());
  return facts;
}

WorkerFacts look_at_worker(const config::Config& config) {
  WorkerFacts facts;
  std::error_code error;
  facts.ours = config.worker.command.empty();
  // The trainer lies beside the supervisor, and that one beside us.
  facts.program = facts.ours ? (fs::read_symlink("/proc/self/exe", error).parent_path() / "trainer").string()
                             : config.worker.command.front();
  if (facts.program.find('/') == std::string::npos) {
    facts.found = facts.executable = find_program(facts.program).has_value();
  } else {
    facts.found = fs::exists(facts.program, error);
    facts.executable = is_program(facts.program);
  }
  facts.data = config.data.path.string();
  const bool regular = fs::is_regular_file(config.data.path, error);
  facts.data_readable = regular && ::faccessat(AT_FDCWD, facts.data.c_str(), R_OK, AT_EACCESS) == 0;
  facts.data_why = regular ? std::strerror(errno) : error ? error.message() : "it is no regular file, or not there";
  // What the loader takes for libblas.so.3, by the links alone: loading it would run its code.
  for (const char* folder : {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"}) {
    const fs::path library = fs::canonical(fs::path(folder) / "libblas.so.3", error);
    if (error) continue;
    facts.blas = library.string();
    break;
  }
  facts.device = config.training.device;
  facts.gpu_device = ::access("/dev/nvidiactl", R_OK | W_OK) == 0;
  facts.systemd = fs::is_directory("/run/systemd/system", error);
  for (const char* folder :
       {"/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}) {
    facts.unit_installed |= fs::exists(fs::path(folder) / "trainer-supervisor.service", error);
  }
  facts.unit_enabled = fs::is_symlink("/etc/systemd/system/multi-user.target.wants/trainer-supervisor.service", error);
  return facts;
}

}  // namespace ts::ctl::doctor
