// Evidence about a worker that is about to be killed, or has just died: files in its incident's folder.
//
// Each part is bounded in time and size, and all together in time, so that a kill waits for no more than that. A part
// that cannot be had leaves a sentence instead. The texts have control characters escaped (newlines and tabs apart), so
// that printing one at a terminal does nothing but print. The worker's environment is not taken: it may hold secrets.
//
// A worker that hangs in the kernel may hold its own mmap_lock or exec_update_lock, and then whoever reads cmdline,
// environ, maps, smaps_rollup (the first), stack, syscall or io (the second) of it in /proc waits with it. Such files
// are therefore never read by this process, in which even a thread to be abandoned would keep the process, and with it
// the locks on the directories, from ending; they are read by head(1), which can be killed or left behind. What this
// process reads itself (stat, comm, wchan, the names in task) takes neither lock.
//
// A debugger stops the worker while it looks. When it is ended in the middle of that, the kernel detaches it; a stop
// signal that it left behind is taken back with SIGCONT. A worker that was stopped before stays so.
//
// Sources: proc(5); fs/proc/base.c and fs/proc/task_mmu.c of Linux 6.1 (who takes which lock); ptrace(2), "Attaching
// and detaching". Threading: gather blocks for up to its deadline, so it has a thread of its own; one call at a time.
// The file system that it writes to may block it for longer. Ownership: refers to the folder for one call.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/process_identity.h"
#include "common/checkpoint/directory.h"
#include "supervisor/shell/incident_book.h"
#include "supervisor/shell/tool_runner.h"

namespace ts::shell {

// A sign of life: when it came and what it said.
struct Beat {
  std::chrono::system_clock::time_point time;
  std::string text;
};

struct EvidenceRequest {
  ProcessIdentity worker;          // the leader of its process group; what is taken of a dead one is log and beats
  std::filesystem::path log_file;  // of its output
  std::uint64_t log_offset = 0;    // where this attempt's output begins
  std::uint64_t log_end = 0;       // and where it ends, since the next attempt writes there too; 0: nobody does
  std::vector<Beat> beats;         // the last ones, oldest first
  ToolLimits tool;                 // for each program that is run
  std::chrono::milliseconds deadline{30'000};  // for everything
};

class EvidenceGatherer {
 public:
  explicit EvidenceGatherer(Children* children = nullptr) : tools_(children) {}

  // Never throws. A request to stop ends it within moments; what is missing then says so.
  std::vector<EvidencePart> gather(const EvidenceRequest& request, const checkpoint::Directory& folder,
                                   const std::stop_token& stop = {});

 private:
  ToolRunner tools_;
};

// The text as it may be shown: control characters but newline and tab, and malformed UTF-8, written as \xNN. Pure.
std::string printable(std::string_view text);

// The last `lines_max` lines of a text. Pure.
std::string_view last_lines(std::string_view text, std::size_t lines_max);

}  // namespace ts::shell
