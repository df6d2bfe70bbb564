// What each pure step of an archive costs, in bytes per second (Google Benchmark), with memcpy as the limit. The
// argument is MiB of state.
//
//   build/release/bin/bench-archive --benchmark_filter=512
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/support/report.h"
#include "bench/support/synthetic_task.h"
#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/digest.h"

namespace ts::bench {
namespace {

using checkpoint::ArchiveLayout;

// A state, its layout and its file.
struct Work {
  explicit Work(const benchmark::State& state)
      : task(static_cast<std::size_t>(state.range(0)) << 20),
        layout(ArchiveLayout::plan(task.state())),
        file(checkpoint::write_archive(task.state())) {}

  SyntheticTask task;
  ArchiveLayout layout;
  std::vector<std::byte> file;
};

void count(benchmark::State& state, const Work& work) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(work.task.bytes().size()));
}

void memcpy_warm(benchmark::State& state) {
  Work work(state);
  const auto source = work.task.bytes();
  for ([[maybe_unused]] const auto& once : state) {
    std::memcpy(work.file.data(), source.data(), source.size());
    benchmark::ClobberMemory();
  }
  count(state, work);
}

void copy_tensors(benchmark::State& state) {
  Work work(state);
  for ([[maybe_unused]] const auto& once : state) {
    work.layout.copy_tensors(work.task.state(), work.file);
    benchmark::ClobberMemory();
  }
  count(state, work);
}

void seal(benchmark::State& state) {
  Work work(state);
  for ([[maybe_unused]] const auto& once : state) benchmark::DoNotOptimize(work.layout.seal(work.file));
  count(state, work);
}

void digest(benchmark::State& state) {
  Work work(state);
  for ([[maybe_unused]] const auto& once : state) benchmark::DoNotOptimize(checkpoint::digest_of(work.file));
  count(state, work);
}

void read_digested(benchmark::State& state) {
  Work work(state);
  for ([[maybe_unused]] const auto& once : state) {
    benchmark::DoNotOptimize(
        require(checkpoint::read_archive(work.file, "a file", checkpoint::CrcCheck::already_digested)));
  }
}

void read_and_check_crcs(benchmark::State& state) {
  Work work(state);
  for ([[maybe_unused]] const auto& once : state) {
    benchmark::DoNotOptimize(require(checkpoint::read_archive(work.file, "a file", checkpoint::CrcCheck::verify)));
  }
  count(state, work);
}

BENCHMARK(memcpy_warm)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);
BENCHMARK(copy_tensors)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);
BENCHMARK(seal)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);
BENCHMARK(digest)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);
BENCHMARK(read_digested)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);
BENCHMARK(read_and_check_crcs)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace ts::bench

BENCHMARK_MAIN();
