// A worker that is starved by its machine is told from one that hangs (P9), and each verdict says why (P11).
#include "supervisor/core/silence.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ts::core {
namespace {

using Kind = SilenceVerdict::Kind;
using protocol::Phase;
using std::chrono::milliseconds;

// Sleeps on an idle machine with two CPUs, looked at twice, a second apart.
SilenceFacts asleep() {
  SilenceFacts facts;
  facts.between = milliseconds{1000};
  for (HostSample* sample : {&facts.before, &facts.after}) {
    sample->leader = 'S';
    sample->cpu_time = milliseconds{5000};
    sample->cpu_some = sample->memory_full = sample->io_full = 0.0;
    sample->runnable = 1;
    sample->cpus = 2;
  }
  return facts;
}

void both(SilenceFacts& facts, const std::function<void(HostSample&)>& change) {
  change(facts.before);
  change(facts.after);
}

// Runs, and gets this much CPU between the looks.
void runs(SilenceFacts& facts, milliseconds used, std::int64_t threads = 1) {
  both(facts, [&](HostSample& sample) {
    sample.leader = 'R';
    sample.runnable_threads = threads;
  });
  facts.after.cpu_time = facts.before.cpu_time + used;
}

void without_pressure(SilenceFacts& facts) {
  both(facts, [](HostSample& s) { s.cpu_some = s.memory_full = s.io_full = std::nullopt; });
}

struct Row {
  const char* name;
  Kind kind;
  const char* why;  // is part of the reason
  std::function<void(SilenceFacts&)> change;
};

const std::vector<Row> kRows = {
    {"sleeps for ever", Kind::hung, "sleeps, uses no CPU, and the machine is not short of CPUs, memory or disk",
     [](auto&) {}},
    {"stopped", Kind::hung, "stopped by a signal", [](auto& f) { both(f, [](auto& s) { s.leader = 'T'; }); }},
    {"stopped on a machine in every trouble", Kind::hung, "stopped by a signal",
     [](auto& f) {
       both(f, [](auto& s) {
         s.leader = 'T';
         s.cpu_some = s.io_full = s.memory_full = 99.0;
         s.uninterruptible = true;
       });
     }},
    {"held by a debugger", Kind::hung, "debugger", [](auto& f) { f.after.leader = 't'; }},
    {"dead", Kind::hung, "ended already", [](auto& f) { f.after.leader = 'Z'; }},
    {"was stopped and goes on, starved", Kind::starved, "short of CPUs",
     [](auto& f) {
       runs(f, milliseconds{50});
       f.before.leader = 'T';
       f.after.cpu_some = 98.0;
     }},
    {"busy on an idle machine", Kind::hung, "uses 99 % of a CPU", [](auto& f) { runs(f, milliseconds{990}); }},
    {"a tenth of a CPU on a machine loaded tenfold", Kind::starved, "gets 10 % of one",
     [](auto& f) {
       runs(f, milliseconds{100});
       f.after.cpu_some = 99.0;
     }},
    {"wants a CPU and gets none at all", Kind::starved, "gets 0 % of one",
     [](auto& f) {
       runs(f, milliseconds{0});
       f.after.cpu_some = 99.0;
     }},
    {"many threads that get little each", Kind::starved, "short of CPUs",
     [](auto& f) {
       runs(f, milliseconds{600}, 8);
       f.after.cpu_some = 99.0;
     }},
    {"asleep though others want CPUs", Kind::hung, "asks for no CPU", [](auto& f) { f.after.cpu_some = 99.0; }},
    {"most of a CPU though others want CPUs", Kind::hung, "enough to give a sign of life",
     [](auto& f) {
       runs(f, milliseconds{700});
       f.after.cpu_some = 99.0;
     }},
    {"eight threads that spin and are all the load", Kind::hung, "the load of this machine itself",
     [](auto& f) {
       runs(f, milliseconds{1950}, 8);
       f.after.cpu_some = 99.0;
     }},
    {"a little pressure", Kind::hung, "not short",
     [](auto& f) {
       runs(f, milliseconds{300});
       f.after.cpu_some = 10.0;
     }},
    {"no pressure figures, loaded tenfold", Kind::starved, "20 tasks want to run on 2 CPUs",
     [](auto& f) {
       without_pressure(f);
       runs(f, milliseconds{100});
       f.after.runnable = 20;
     }},
    {"no pressure figures, idle", Kind::hung, "not short of CPUs",
     [](auto& f) {
       without_pressure(f);
       runs(f, milliseconds{1000});
     }},
    {"no pressure figures and no load", Kind::hung, "not short of CPUs",
     [](auto& f) {
       without_pressure(f);
       both(f, [](auto& s) { s.runnable = std::nullopt; });
     }},
    {"in the kernel for a device at both looks", Kind::starved, "state D",
     [](auto& f) { both(f, [](auto& s) { s.uninterruptible = true; }); }},
    {"the same without pressure figures", Kind::starved, "state D",
     [](auto& f) {
       without_pressure(f);
       both(f, [](auto& s) { s.uninterruptible = true; });
     }},
    {"in the kernel for a moment", Kind::hung, "sleeps", [](auto& f) { f.after.uninterruptible = true; }},
    {"a stalled disk", Kind::starved, "the disk is stalled", [](auto& f) { f.after.io_full = 60.0; }},
    {"a slow disk while training", Kind::hung, "not short",
     [](auto& f) {
       f.phase = Phase::train;
       f.after.io_full = 8.0;
     }},
    {"a slow disk while saving", Kind::starved, "phase save",
     [](auto& f) {
       f.phase = Phase::save;
       f.after.io_full = 8.0;
     }},
    {"a slow disk while loading", Kind::starved, "phase load",
     [](auto& f) {
       f.phase = Phase::load;
       f.after.io_full = 8.0;
     }},
    {"saving with a disk at rest", Kind::hung, "not short", [](auto& f) { f.phase = Phase::save; }},
    {"memory thrashing", Kind::starved, "short of memory", [](auto& f) { f.after.memory_full = 45.0; }},
    {"trouble that is over", Kind::hung, "not short",
     [](auto& f) { f.before.memory_full = f.before.io_full = f.before.cpu_some = 99.0; }},
    {"nothing can be read", Kind::hung, "cannot be read",
     [](auto& f) {
       f.before = f.after = HostSample{};
       f.after.cpu_some = 99.0;
     }},
    {"gone between the looks", Kind::hung, "gone at the second look", [](auto& f) { f.after.leader = std::nullopt; }},
    {"its CPU time went back", Kind::hung, "sleeps", [](auto& f) { f.after.cpu_time = milliseconds{1}; }},
    {"no time between the looks", Kind::hung, "uses no CPU",
     [](auto& f) {
       runs(f, milliseconds{10});
       f.between = milliseconds{0};
     }},
    {"no CPUs known", Kind::starved, "short of CPUs",
     [](auto& f) {
       runs(f, milliseconds{10});
       f.after.cpu_some = 99.0;
       f.after.cpus = 0;
     }},
};

TEST(ASilence, P9_P11_IsJudgedByWhatTheMachineDoesAndTheVerdictSaysWhy) {
  for (const Row& row : kRows) {
    SilenceFacts facts = asleep();
    row.change(facts);
    const SilenceVerdict verdict = judge_silence(facts);
    EXPECT_EQ(verdict.kind, row.kind) << row.name << ": " << verdict.why;
    EXPECT_NE(verdict.why.find(row.why), std::string::npos) << row.name << ": " << verdict.why;
  }
}

TEST(ASilence, P9_HasOneExtensionAndNoSecond) {
  for (const Row& row : kRows) {
    SilenceFacts facts = asleep();
    row.change(facts);
    const SilenceVerdict first = judge_silence(facts);
    facts.extended = true;
    const SilenceVerdict second = judge_silence(facts);
    EXPECT_EQ(second.kind, Kind::hung) << row.name;
    EXPECT_NE(second.why.find(first.why), std::string::npos) << row.name << ": what is seen is still said";
    EXPECT_EQ(second.why.find("has had one extension") != std::string::npos, first.kind == Kind::starved) << row.name;
  }
}

TEST(ASilence, P11_IsDescribedAsTheEndOfASentence) {
  EXPECT_EQ(describe({Kind::starved, "the disk is stalled"}), "granted one extension because the disk is stalled");
  EXPECT_EQ(describe({Kind::hung, "it sleeps"}), "no extension because it sleeps");
}

TEST(ASilence, P7_OfAbsurdFiguresIsJudgedToo) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double figure : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN(), 1e308, -1.0}) {
    SilenceFacts facts = asleep();
    runs(facts, milliseconds{-1}, std::numeric_limits<std::int64_t>::max());
    facts.after.cpu_some = facts.after.io_full = facts.after.memory_full = figure;
    facts.after.cpus = -3;
    EXPECT_FALSE(judge_silence(facts).why.empty());
  }
}

}  // namespace
}  // namespace ts::core
