// Facts to findings about directories, what lies in them, and the supervisor. Pure.
#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/text.h"
#include "supervisor/ctl/doctor.h"

namespace ts::ctl::doctor {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kMarginBytes = 64 * kMiB;  // kept free of evidence for checkpoints
constexpr std::uint64_t kInodesFew = 1000;
constexpr std::uint64_t kInodesNone = 20;

std::string plain(std::string_view text) {
  return escape_control(text);
}

bool has_option(std::string_view options, std::string_view option) {
  return options.find("," + std::string(option) + ",") != std::string_view::npos;
}

std::string count_of(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string octal(std::uint32_t mode) {
  std::string out;
  for (int shift = 9; shift >= 0; shift -= 3) out += static_cast<char>('0' + ((mode >> shift) & 7U));
  return out;
}

bool in_memory(std::string_view kind) {
  return kind == "tmpfs" || kind == "ramfs" || kind == "devtmpfs";
}

struct Kind {
  std::string_view name;
  std::string_view what;
  std::string_view todo;
};

constexpr std::string_view kLocal = "Put the directory on a local disk with ext4, XFS or btrfs.";

// What is neither trusted nor lost at a reboot, and why.
constexpr std::array<Kind, 12> kOthers = {{
    {"nfs",
     "what was saved is as safe as the server makes it: exported with `async` it is not, and a server that does "
     "not answer stops every save",
     "Use a local disk, or an NFSv4 export with `sync`, mounted `hard`."},
    {"nfs4",
     "what was saved is as safe as the server makes it: exported with `async` it is not, and a server that does "
     "not answer stops every save",
     "Use a local disk, or an NFSv4 export with `sync`, mounted `hard`."},
    {"cifs", "renames and locks work differently over SMB, and what was saved is as safe as the server makes it",
     kLocal},
    {"smb3", "renames and locks work differently over SMB, and what was saved is as safe as the server makes it",
     kLocal},
    {"9p", "a virtual machine's shared folder: what was saved is as safe as the host makes it", kLocal},
    {"virtiofs", "a virtual machine's shared folder: what was saved is as safe as the host makes it", kLocal},
    {"overlay", "a container's own layer: it goes with the container", "Mount a volume for it."},
    {"ext2", "it has no journal, so a power cut may damage it as a whole", kLocal},
    {"vfat", "it knows no journal, no links and no owners", kLocal},
    {"exfat", "it knows no journal, no links and no owners", kLocal},
    {"ntfs3", "it is not known whether it keeps what it says it has saved", kLocal},
    {"ecryptfs", "it is not known whether it keeps what it says it has saved", kLocal},
}};

}  // namespace

Finding judge_file_system(std::string_view check, std::string_view path, std::string_view kind,
                          std::string_view options) {
  Finding out{std::string(check) + ".file_system", Level::ok, {}, {}};
  const std::string where = plain(path) + " lies on " + plain(kind);
  const bool holds_checkpoints = check == "models";
  if (in_memory(kind)) {
    out.level = holds_checkpoints ? Level::problem : Level::warning;
    out.what = where + ", which is memory: all in it is lost at a reboot or a power cut.";
    out.todo = kLocal;
    return out;
  }
  for (const std::string_view option : {"nobarrier", "barrier=0", "fsync_mode=nobarrier", "volatile"}) {
    if (!has_option(options, option)) continue;
    out.level = Level::warning;
    out.what = where + ", mounted with " + std::string(option) +
               ": a power cut may take what it said it had saved, unless the disk has a battery.";
    out.todo = "Mount it without " + std::string(option) + ".";
    return out;
  }
  for (const std::string_view good : {"ext4", "ext3", "xfs", "btrfs", "f2fs", "zfs", "bcachefs"}) {
    if (kind != good) continue;
    out.what = where + ", which keeps what it says it has saved.";
    if (has_option(options, "data=writeback")) {
      out.what += " data=writeback does no harm here, since every file is synced before it gets its name.";
    }
    return out;
  }
  out.level = Level::warning;
  const auto known =
      std::find_if(kOthers.begin(), kOthers.end(), [&](const Kind& other) { return other.name == kind; });
  if (known != kOthers.end()) {
    out.what = where + ": " + std::string(known->what) + ".";
    out.todo = known->todo;
    return out;
  }
  out.what = where + (kind.starts_with("fuse") ? ": a program behind FUSE decides what becomes of what was saved."
                                               : ", of which is not known whether it keeps what it says it has saved.");
  out.todo = kLocal;
  return out;
}

Findings judge_directory(const DirectoryFacts& facts) {
  Findings out;
  const std::string path = plain(facts.path);
  if (!facts.trouble.empty()) {
    return {{facts.check + ".directory", Level::problem, path + " cannot be used: " + plain(facts.trouble) + ".",
             "Name another directory in the configuration, or mend this one."}};
  }
  const std::string owned = ", which belongs to " + plain(facts.owner) + " with mode " + octal(facts.mode);
  const bool read_only = has_option(facts.options, "ro");
  if (read_only || !facts.writable) {
    out.push_back({facts.check + ".writable", Level::problem,
                   (facts.exists ? path + " is" : path + " is not there, and where it would be made is") +
                       " not writable for you (" + plain(facts.user) + ")" +
                       (read_only ? ": its file system is mounted read-only." : owned + "."),
                   read_only ? "Look into the kernel's log (dmesg) for the reason, then mount it read-write."
                             : "Run this, and the training, as " + plain(facts.owner) + ", or give " +
                                   plain(facts.user) + " the right to write there."});
  } else {
    out.push_back({facts.check + ".writable",
                   Level::ok,
                   facts.exists ? path + " is writable for you (" + plain(facts.user) + ")" + owned + "."
                                : path + " is not there yet, and can be made.",
                   {}});
  }
  if (facts.exists && (facts.mode & 0002U) != 0 && (facts.mode & 01000U) == 0) {
    out.push_back({facts.check + ".mode", Level::warning, path + " is writable for everybody on this machine.",
                   "chmod o-w " + path});
  }
  out.push_back(judge_file_system(facts.check, facts.path, facts.kind, facts.options));
  if (facts.total_inodes > 0 && facts.free_inodes < kInodesFew) {
    out.push_back(
        {facts.check + ".inodes", facts.free_inodes < kInodesNone ? Level::problem : Level::warning,
         "the file system of " + path + " can hold only " + std::to_string(facts.free_inodes) + " more files.",
         "Remove files there that nobody needs (df -i shows the count)."});
  }
  if (facts.check != "models" && facts.free_bytes < kMarginBytes) {
    out.push_back({facts.check + ".space", facts.free_bytes < kMiB ? Level::problem : Level::warning,
                   "only " + human_bytes(facts.free_bytes) + " are free for " + path + ".",
                   "Make room on that file system."});
  }
  return out;
}

Findings judge_space(const SpaceFacts& facts, const config::Config& config) {
  const std::string free = human_bytes(facts.free_bytes) + " are free for checkpoints";
  if (!facts.pair_bytes) {
    const bool little = facts.free_bytes < kMarginBytes;
    return {{"models.space", little ? Level::warning : Level::ok, free + "; how large one is shows with the first one.",
             little ? "Make room on that file system." : ""}};
  }
  const double size = static_cast<double>(*facts.pair_bytes);
  const auto& checkpoints = config.checkpoints;
  const double missing = std::max(0.0, static_cast<double>(checkpoints.max_keep + 1 - facts.pairs)) +
                         (checkpoints.save_best && !facts.best ? 1.0 : 0.0);
  // Even with all of them there, the next is written before the oldest goes.
  const double needed = std::max(1.0, missing) * size;
  const double available = static_cast<double>(facts.free_bytes);
  const std::string of_them = "; a checkpoint has " + human_bytes(*facts.pair_bytes) + ", and " +
                              std::to_string(checkpoints.max_keep) + " are kept";
  Findings out;
  if (available < needed) {
    out.push_back({"models.space", Level::problem, free + ", which is not enough" + of_them + ".",
                   "Make room, or lower checkpoints.max_keep."});
    return out;
  }
  const bool tight = available < 2.0 * needed + static_cast<double>(kMarginBytes);
  out.push_back({"models.space", tight ? Level::warning : Level::ok,
                 free + (tight ? ", which is little" : "") + of_them + ".", tight ? "Make room." : ""});
  if (checkpoints.keep_every <= 0) return out;
  const double room = std::floor((available - needed) / std::max(1.0, size));
  const double wanted =
      std::floor(static_cast<double>(facts.episodes_left) / static_cast<double>(checkpoints.keep_every));
  const auto count = [](double value) { return std::to_string(static_cast<std::int64_t>(std::min(value, 1e15))); };
  std::string what = "there is room for " + count(room) + " of the " + count(wanted) +
                     " milestones that checkpoints.keep_every will keep until the end of the run";
  if (facts.episodes_per_s && *facts.episodes_per_s > 0.0 && room < wanted) {
    const double hours = room * static_cast<double>(checkpoints.keep_every) / *facts.episodes_per_s / 3600.0;
    what += ", about " + format_fixed(std::min(hours, 1e9), 1) + " hours at the present pace";
  }
  const bool enough = room >= wanted;
  out.push_back({"models.milestones", enough ? Level::ok : Level::warning, what + ".",
                 enough ? "" : "Make room, or raise checkpoints.keep_every."});
  return out;
}

Finding judge_lock(const LockFacts& facts) {
  const std::string path = plain(facts.path);
  const bool as_recorded =
      facts.recorded && std::find(facts.holders.begin(), facts.holders.end(), *facts.recorded) != facts.holders.end();
  if (as_recorded) {
    return {"lock",
            Level::ok,
            path + " is held by " + plain(facts.program) + ", process " + std::to_string(*facts.recorded) +
                ", as it should be while that one runs.",
            {}};
  }
  if (!facts.holders.empty()) {
    return {"lock", Level::warning,
            path + " is held by process " + std::to_string(facts.holders.front()) + ", which it does not name.",
            "Look at that process (ps -fp " + std::to_string(facts.holders.front()) +
                "); nothing else can use the directory meanwhile."};
  }
  if (facts.recorded) {
    return {"lock",
            Level::ok,
            path + " was left by " + plain(facts.program) + ", process " + std::to_string(*facts.recorded) +
                ", and nobody holds it: it keeps nobody out.",
            {}};
  }
  return {"lock", Level::ok, "nobody holds " + path + ".", {}};
}

Findings judge_leftovers(const LeftoverFacts& facts) {
  Findings out;
  const std::string where = plain(facts.directory);
  if (facts.temporaries > 0 && !facts.in_use) {
    out.push_back({"leftovers.temporary", Level::warning,
                   count_of(facts.temporaries, "unfinished file") + " of a save that was cut off " +
                       (facts.temporaries == 1 ? "lies in " : "lie in ") + where + ".",
                   "Nothing: the next start of the training removes them."});
  }
  if (facts.intent && !facts.in_use) {
    out.push_back({"leftovers.going_back", Level::warning,
                   "going back to an older checkpoint was cut off in " + where + ".",
                   "Nothing: the next start of the training completes it."});
  }
  if (facts.quarantine_folders > 0) {
    out.push_back(
        {"leftovers.quarantine", Level::warning,
         where + "/quarantine holds " + count_of(facts.quarantine_folders, "checkpoint") + " (" +
             human_bytes(facts.quarantine_bytes) + "), set aside because of damage, or because workers kept dying of " +
             (facts.quarantine_folders == 1 ? "it." : "them."),
         "Read why.txt in each folder there. Put one back with supervisorctl checkpoints release, or remove it."});
  }
  if (facts.superseded_bytes > 0) {
    out.push_back({"leftovers.superseded", Level::ok,
                   where + "/superseded holds " + human_bytes(facts.superseded_bytes) +
                       " of checkpoints that somebody stepped behind.",
                   "Remove those that nobody wants to go back to."});
  }
  return out;
}

Findings judge_supervisor(const SupervisorFacts& facts) {
  using Answer = SupervisorFacts::Answer;
  const std::string socket = plain(facts.socket);
  const std::string start = "Start one: ./run_training.sh, or systemctl start trainer-supervisor.";
  switch (facts.answer) {
    case Answer::no_socket:
      return {{"supervisor", Level::warning, "no supervisor runs: there is no socket " + socket + ".", start}};
    case Answer::nobody:
      return {{"supervisor", Level::warning,
               "no supervisor runs: nobody answers on " + socket + ", which an earlier one left behind.",
               start + " It replaces that file."}};
    case Answer::no_permission:
      return {{"supervisor", Level::problem,
               "you may not ask the supervisor on " + socket + ": it belongs to " + plain(facts.owner) + " with mode " +
                   octal(facts.mode) + ".",
               "Ask as that user, or become a member of the socket's group."}};
    case Answer::no_answer:
      return {{"supervisor", Level::problem, "the supervisor on " + socket + " gives no answer: " + plain(facts.why),
               "See its log; systemd replaces one that hangs after a minute."}};
    case Answer::yes: break;
  }
  Findings out;
  const bool given_up = facts.state == "fatal";
  out.push_back({"supervisor", given_up ? Level::problem : Level::ok,
                 "a supervisor answers on " + socket + ": " + plain(facts.state) + ", " + plain(facts.reason) + ".",
                 given_up ? "Mend that, then supervisorctl start; supervisorctl incidents tells what happened." : ""});
  if (facts.version != facts.own_version) {
    out.push_back({"supervisor.version", Level::warning,
                   "the supervisor has version " + plain(facts.version) + ", this supervisorctl " +
                       plain(facts.own_version) + ".",
                   "Restart the supervisor; the training goes on from its newest checkpoint."});
  }
  if ((facts.mode & 0002U) != 0) {
    out.push_back({"supervisor.socket", Level::warning, socket + " may be used by everybody on this machine.",
                   "chmod o-w " + socket});
  }
  return out;
}

}  // namespace ts::ctl::doctor
