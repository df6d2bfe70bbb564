// Facts to findings about the machine, the worker and what that one needs. Pure.
#include <algorithm>
#include <cmath>

#include "common/base/text.h"
#include "supervisor/ctl/doctor.h"

namespace ts::ctl::doctor {
namespace {

constexpr std::int64_t kEarliestYear = 2024;  // a clock that says less was never set
constexpr std::uint64_t kBuffers = 4;         // of snapshots, see docs/ARCHITECTURE.md

std::string plain(std::string_view text) {
  return escape_control(text);
}

}  // namespace

Findings judge_machine(const MachineFacts& facts) {
  Findings out;
  const double cpus = std::min(static_cast<double>(facts.cpus), facts.cpu_limit.value_or(1e9));
  const std::string have = format_fixed(cpus, cpus == std::floor(cpus) ? 0 : 1) + " CPUs may be used";
  const bool crowded = static_cast<double>(facts.threads) > cpus;
  out.push_back({"cpus", crowded ? Level::warning : Level::ok,
                 have + (facts.cpu_limit ? " (a control group's limit)" : "") + ", and training.threads is " +
                     std::to_string(facts.threads) + ".",
                 crowded ? "Lower training.threads; a resume with another number is not bit-exact." : ""});

  const std::uint64_t memory = std::min(facts.memory_total, facts.memory_limit.value_or(facts.memory_total));
  const std::uint64_t buffers = kBuffers * facts.snapshot_bytes;
  const bool too_much = facts.snapshot_bytes > 0 && buffers > memory;
  const bool much = facts.snapshot_bytes > 0 && buffers > memory / 2;
  out.push_back({"memory",
                 too_much ? Level::problem
                 : much   ? Level::warning
                          : Level::ok,
                 "there are " + human_bytes(memory) + " of memory" +
                     (memory < facts.memory_total ? " (a control group's limit)" : "") + ", " +
                     human_bytes(facts.memory_available) + " of the machine's available, and " +
                     (facts.swap_total > 0 ? human_bytes(facts.swap_total) : std::string("no")) + " swap" +
                     (facts.snapshot_bytes > 0 ? "; snapshots take " + human_bytes(buffers) + " of it" : "") + ".",
                 too_much || much ? "Give it more memory, or set snapshots.enabled: false." : ""});
  if (facts.overcommit == 2) {
    out.push_back({"memory.overcommit", Level::warning,
                   "the kernel promises no more memory than it has "
                   "(vm.overcommit_memory is 2).",
                   "See that the worker starts; if it does not, sysctl vm.overcommit_memory=0."});
  }
  if (facts.year < kEarliestYear) {
    out.push_back({"clock", Level::problem, "the clock says that it is the year " + std::to_string(facts.year) + ".",
                   "Set the clock."});
  } else if (facts.newest_in_future) {
    out.push_back({"clock", Level::warning, "the newest checkpoint was written in the future, by this clock.",
                   "Compare the clock with another one. Training does not depend on it; ages that are shown do."});
  } else {
    out.push_back({"clock", facts.clock_synchronized ? Level::ok : Level::warning,
                   facts.clock_synchronized ? "the clock is synchronised."
                                            : "the kernel does not know the clock to be synchronised.",
                   facts.clock_synchronized ? ""
                                            : "timedatectl set-ntp true, where nothing else sets it. Training "
                                              "does not depend on it; times in logs and reports do."});
  }
  const bool forbidden = facts.ptrace_scope.value_or(0) > 0;
  const std::string scope = std::to_string(facts.ptrace_scope.value_or(0));
  if (!facts.debugger) {
    out.push_back({"stacks", Level::warning, "no debugger is installed, so incidents come without the worker's stacks.",
                   "apt-get install gdb (or elfutils, which is smaller)."});
  } else {
    out.push_back({"stacks", forbidden ? Level::warning : Level::ok,
                   forbidden ? "kernel.yama.ptrace_scope is " + scope +
                                   ", so a debugger may look at the worker only as root, or not at all."
                             : std::string("a debugger is there for the stacks of a worker that hangs."),
                   forbidden ? "sysctl kernel.yama.ptrace_scope=0, if stacks are wanted." : ""});
  }
  return out;
}

Findings judge_worker(const WorkerFacts& facts) {
  Findings out;
  const std::string program = plain(facts.program);
  if (!facts.found || !facts.executable) {
    out.push_back(
        {"worker", Level::problem,
         facts.found ? "the worker " + program + " may not be executed by you."
                     : "the worker " + program + " is not there.",
         facts.ours ? "Build it: ./run_training.sh --build-only." : "Mend worker.command in the configuration."});
  } else {
    out.push_back({"worker", Level::ok, "the worker is " + program + ".", {}});
  }
  if (!facts.systemd) {
    out.push_back({"service",
                   Level::ok,
                   "systemd does not run this machine, so nothing starts the training after a reboot.",
                   {}});
  } else if (!facts.unit_installed) {
    out.push_back({"service", Level::ok, "no service is installed, so nothing starts the training after a reboot.",
                   "docs/OPERATING.md says how to install it, if that is wanted."});
  } else {
    out.push_back({"service", facts.unit_enabled ? Level::ok : Level::warning,
                   facts.unit_enabled ? "the service is installed and enabled."
                                      : "the service is installed, but not enabled: a reboot ends the training.",
                   facts.unit_enabled ? "" : "systemctl enable trainer-supervisor"});
  }
  if (!facts.ours) return out;  // what another program needs is not known here
  out.push_back({"data", facts.data_readable ? Level::ok : Level::problem,
                 facts.data_readable
                     ? "the market data is " + plain(facts.data) + "."
                     : "the market data " + plain(facts.data) + " cannot be read: " + plain(facts.data_why) + ".",
                 facts.data_readable ? "" : "Mend data.path in the configuration, or the file's permissions."});
  const bool quick = facts.blas.find("openblas") != std::string::npos || facts.blas.find("mkl") != std::string::npos ||
                     facts.blas.find("blis") != std::string::npos || facts.blas.find("atlas") != std::string::npos;
  if (facts.blas.empty()) {
    out.push_back({"blas",
                   Level::ok,
                   "there is no libblas.so.3 on this machine: libtorch brings its own mathematics, or is not there.",
                   {}});
  } else {
    out.push_back({"blas", quick ? Level::ok : Level::warning,
                   "libblas.so.3 is " + plain(facts.blas) +
                       (quick ? "." : ", the reference BLAS: 40 times slower than OpenBLAS."),
                   quick ? ""
                         : "apt-get install libopenblas0-pthread; if it is there, update-alternatives --config "
                           "libblas.so.3-$(gcc -print-multiarch)."});
  }
  const bool wants_gpu = facts.device.starts_with("cuda");
  if (wants_gpu || facts.gpu_device) {
    out.push_back({"gpu", wants_gpu && !facts.gpu_device ? Level::problem : Level::ok,
                   facts.gpu_device ? "an NVIDIA GPU can be seen."
                                    : "training.device is " + plain(facts.device) +
                                          ", and no NVIDIA GPU can be seen "
                                          "(/dev/nvidiactl is not there, or not for you).",
                   wants_gpu && !facts.gpu_device ? "Install the driver, or set training.device: cpu." : ""});
  }
  return out;
}

}  // namespace ts::ctl::doctor
