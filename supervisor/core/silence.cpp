#include "supervisor/core/silence.h"

#include <algorithm>
#include <utility>

#include "common/base/text.h"

namespace ts::core {
namespace {

using Kind = SilenceVerdict::Kind;

// Percent of the last ten seconds. At these a machine is in trouble; a busy one that does its work stays far below.
constexpr double kMemoryFull = 20.0;
constexpr double kIoFull = 20.0;
constexpr double kIoFullWhileSaving = 5.0;  // it waits for the very disk that is slow
// Not a measure of how short CPUs are (one task too many gives 100), only of whether they are.
constexpr double kCpuSome = 40.0;
constexpr std::int64_t kRunnablePerCpu = 2;  // the same where the kernel has no pressure figures
// A thread that gets more than this of a CPU is slowed down, not silenced.
constexpr double kThreadShareMax = 0.5;
// Whoever uses this much of all its CPUs is the load itself.
constexpr double kOwnLoad = 0.75;
// Helper threads that wake up now and then use less: with no more than that the worker sleeps.
constexpr double kAsleepShare = 0.005;

SilenceVerdict starved(std::string why) {
  return {Kind::starved, std::move(why)};
}

SilenceVerdict hung(std::string why) {
  return {Kind::hung, std::move(why)};
}

std::string percent(double value) {
  return format_fixed(value, 0) + " %";
}

// How much CPU the worker got between the two looks, in CPUs.
double cpus_used(const SilenceFacts& facts) {
  const auto used = facts.after.cpu_time - facts.before.cpu_time;
  // Less than before: a member of the group has ended, and its time is not counted any more.
  if (facts.between <= facts.between.zero() || used <= used.zero()) return 0.0;
  return static_cast<double>(used.count()) / static_cast<double>(facts.between.count());
}

std::string cpu_clause(double used) {
  return used <= kAsleepShare ? "uses no CPU" : "uses " + percent(used * 100.0) + " of a CPU";
}

// States in which waiting longer cannot help, whatever the machine does.
std::optional<SilenceVerdict> not_running(const SilenceFacts& facts) {
  if (!facts.after.leader) {
    return hung(facts.before.leader ? "its process was gone at the second look" : "its processes cannot be read");
  }
  switch (*facts.after.leader) {
    case 'T': return hung("it is stopped by a signal (SIGSTOP or the like) and does not go on by itself");
    case 't': return hung("it is stopped by a debugger");
    case 'Z':
    case 'X':
    case 'x': return hung("it has ended already");
    default: return std::nullopt;
  }
}

std::optional<SilenceVerdict> waits_for_disk(const SilenceFacts& facts) {
  using protocol::Phase;
  if (facts.before.uninterruptible && facts.after.uninterruptible) {
    return starved("it waits inside the kernel for a disk or another device (state D)");
  }
  if (!facts.after.io_full) return std::nullopt;
  const double pressure = *facts.after.io_full;
  const bool at_the_disk = facts.phase == Phase::save || facts.phase == Phase::load;
  if (pressure >= kIoFull) {
    return starved("the disk is stalled: all work waited for it " + percent(pressure) + " of the last 10 s");
  }
  if (at_the_disk && pressure >= kIoFullWhileSaving) {
    return starved("it is in the phase " + std::string(protocol::to_string(*facts.phase)) +
                   " and the disk is slow: all work waited for it " + percent(pressure) + " of the last 10 s");
  }
  return std::nullopt;
}

std::optional<SilenceVerdict> waits_for_memory(const SilenceFacts& facts) {
  const bool thrashing = facts.after.memory_full && *facts.after.memory_full >= kMemoryFull;
  if (!thrashing) return std::nullopt;
  return starved("the machine is short of memory: all work waited for it " + percent(*facts.after.memory_full) +
                 " of the last 10 s");
}

// How short the machine is of CPUs, as a clause; empty when it is not.
std::string cpu_shortage(const HostSample& sample) {
  if (sample.cpu_some) {
    return *sample.cpu_some >= kCpuSome ? "tasks waited for a CPU " + percent(*sample.cpu_some) + " of the last 10 s"
                                        : "";
  }
  if (!sample.runnable || *sample.runnable <= kRunnablePerCpu * std::max<std::int64_t>(1, sample.cpus)) return {};
  return std::to_string(*sample.runnable) + " tasks want to run on " + std::to_string(sample.cpus) + " CPUs";
}

SilenceVerdict judge_cpu(const SilenceFacts& facts) {
  const double used = cpus_used(facts);
  const auto runnable = std::max(facts.before.runnable_threads, facts.after.runnable_threads);
  const double cpus = static_cast<double>(std::max<std::int64_t>(1, facts.after.cpus));
  const std::string shortage = cpu_shortage(facts.after);
  const bool asleep = runnable == 0 && used <= kAsleepShare;
  const bool blind = !facts.after.cpu_some && !facts.after.io_full && !facts.after.memory_full;
  if (shortage.empty()) {
    return hung((asleep ? "it sleeps, " : "it ") + cpu_clause(used) + ", and the machine is not short of CPUs" +
                (blind ? "" : ", memory or disk"));
  }
  if (asleep) return hung("it sleeps and asks for no CPU, though the machine is short of them (" + shortage + ")");
  // Its own threads alone can make a machine look short of CPUs: spinning is no starvation.
  if (used >= kOwnLoad * cpus) {
    return hung("it " + cpu_clause(used) + ", most of what it can have: it is the load of this machine itself");
  }
  if (used / static_cast<double>(std::max<std::int64_t>(1, runnable)) > kThreadShareMax) {
    return hung("it " + cpu_clause(used) + ", enough to give a sign of life although others want CPUs too");
  }
  return starved("the machine is short of CPUs (" + shortage + ") and it gets " + percent(used * 100.0) + " of one");
}

SilenceVerdict judge_first(const SilenceFacts& facts) {
  if (auto verdict = not_running(facts)) return *std::move(verdict);
  if (auto verdict = waits_for_disk(facts)) return *std::move(verdict);
  if (auto verdict = waits_for_memory(facts)) return *std::move(verdict);
  return judge_cpu(facts);
}

}  // namespace

SilenceVerdict judge_silence(const SilenceFacts& facts) {
  SilenceVerdict verdict = judge_first(facts);
  if (verdict.kind == Kind::starved && facts.extended) {
    return hung("it has had one extension and is still silent, though " + verdict.why);
  }
  return verdict;
}

std::string describe(const SilenceVerdict& verdict) {
  return (verdict.kind == Kind::starved ? "granted one extension because " : "no extension because ") + verdict.why;
}

}  // namespace ts::core
