// The checkpoint engine's figures that need no libtorch: stall, durable, verify, scan. bench/checkpoints.py runs this
// program beside its peers and makes a table of what all of them say; docs/BENCHMARKS.md says what is measured how.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/support/report.h"
#include "bench/support/saving_rig.h"
#include "bench/support/synthetic_task.h"
#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/digest.h"
#include "common/checkpoint/store.h"

namespace ts::bench {
namespace {

namespace fs = std::filesystem;

using checkpoint::ArchiveLayout;
using checkpoint::Directory;
using checkpoint::Episode;
using checkpoint::Sidecar;
using checkpoint::Store;

constexpr int kWarmUps = 2;  // every buffer has been used, every page table is there

struct Settings {
  fs::path directory;
  std::size_t bytes = std::size_t{1} << 20;
  int repeat = 3;
  Episode pairs = 10'000;
};

// The training thread's part of a save, and a memcpy of the same bytes in the same situation: right after the tensors
// have been written, the saver idle.
void measure_stall(const Settings& settings) {
  SavingRig rig(settings.bytes, settings.directory);
  const auto source = rig.task().bytes();
  std::vector<std::byte> buffer(source.size());
  for (int i = -kWarmUps; i < settings.repeat; ++i) {
    rig.task().train();
    session::SnapshotRef snapshot;
    const double ours = seconds_of([&] {
      snapshot = rig.take();
      rig.offer(snapshot);
    });
    // The next episode ends while the save is still under way: only the copy is made, but the memory is busy.
    rig.task().train();
    const double contended = seconds_of([&] {
      snapshot = rig.take();
      rig.offer(snapshot);
    });
    rig.await_idle();
    rig.task().train();
    const double copy = seconds_of([&] { std::memcpy(buffer.data(), source.data(), source.size()); });
    if (i < 0) continue;
    report("stall", settings.bytes, "ours", ours);
    report("stall", settings.bytes, "ours: beside a save under way", contended);
    report("stall", settings.bytes, "memcpy", copy);
  }
}

struct Parts {
  double reserve = 0.0;
  double write = 0.0;
  double fsync = 0.0;
  double read_again = 0.0;
  double other_calls = 0.0;
};

bool is_archive(const std::string& file) {
  return file.find(".pt") != std::string::npos;
}

Parts sort_calls(const std::vector<TimedFileSystem::Call>& calls, Clock::time_point acknowledged) {
  Parts parts;
  for (const auto& call : calls) {
    if (call.begun >= acknowledged) break;  // pruning
    double* part = &parts.other_calls;
    if (is_archive(call.file)) {
      if (call.name == "reserve") part = &parts.reserve;
      if (call.name == "write") part = &parts.write;
      if (call.name == "fsync") part = &parts.fsync;
      if (call.name == "read") part = &parts.read_again;
    }
    *part += seconds_between(call.begun, call.ended);
  }
  return parts;
}

// Sealing and digesting alone, on bytes of the same layout: inside the saver they cannot be told apart from outside.
void report_pure_parts(SyntheticTask& task, std::size_t bytes) {
  const auto layout = ArchiveLayout::plan(task.state());
  std::vector<std::byte> file(layout.file_bytes());
  layout.copy_tensors(task.state(), file);
  std::size_t used = 0;
  report("durable", bytes, "ours: seal, alone", seconds_of([&] { used += layout.seal(file).size(); }));
  report("durable", bytes, "ours: digest, alone", seconds_of([&] { used += checkpoint::digest_of(file).size(); }));
  if (used == 0) std::printf("nothing was computed\n");
}

// From the offer of a snapshot until its checkpoint is acknowledged, and where that time goes.
void measure_durable(const Settings& settings) {
  SavingRig rig(settings.bytes, settings.directory);
  for (int i = -kWarmUps; i < settings.repeat; ++i) {
    rig.task().train();
    const auto snapshot = rig.take();
    rig.file_system().take_calls();
    const auto offered = Clock::now();
    rig.offer(snapshot);
    const auto acknowledged = rig.await_acknowledgement();
    const auto calls = rig.file_system().take_calls();
    rig.await_idle();
    if (i < 0 || calls.empty()) continue;
    const double whole = seconds_between(offered, acknowledged);
    const double before = seconds_between(offered, calls.front().begun);
    const Parts parts = sort_calls(calls, acknowledged);
    const double calls_in_all = parts.reserve + parts.write + parts.fsync + parts.read_again + parts.other_calls;
    report("durable", settings.bytes, "ours", whole);
    report("durable", settings.bytes, "ours: seal", before);
    report("durable", settings.bytes, "ours: reserve space", parts.reserve);
    report("durable", settings.bytes, "ours: write", parts.write);
    report("durable", settings.bytes, "ours: fsync of the data", parts.fsync);
    report("durable", settings.bytes, "ours: read again", parts.read_again);
    report("durable", settings.bytes, "ours: names, sidecar, directory", parts.other_calls);
    report("durable", settings.bytes, "ours: digest, of memory and of the file", whole - before - calls_in_all);
    report_pure_parts(rig.task(), settings.bytes);
  }
}

Sidecar sidecar_of(Episode episode, const std::string& run_id) {
  Sidecar sidecar;
  sidecar.episode = episode;
  sidecar.total_episodes = checkpoint::kEpisodeMax;
  sidecar.run_id = run_id;
  sidecar.created = "2026-01-31T12:34:56.789Z";
  sidecar.metrics = {{"profit", 123.456}, {"sharpe", 0.75}, {"max_drawdown", 0.125}, {"trades", 42}, {"loss", 0.01}};
  sidecar.exactness = {{"threads", 1}, {"isa", "AVX2"}, {"torch", "1.13.1"}, {"deterministic", true}};
  sidecar.config = {{"hidden", 32}, {"learning_rate", 0.0001}, {"gamma", 0.95}, {"batch_size", 64}};
  return sidecar;
}

// A pair of the given size; its .pt is also what dd copies and xxhsum reads.
void prepare_pair(const Settings& settings) {
  SyntheticTask task(settings.bytes);
  task.train();
  const auto directory = require(Directory::open(settings.directory, Directory::Create::yes));
  auto lock = require(checkpoint::DirectoryLock::acquire(directory, "bench"));
  checkpoint::StoreWriter writer(directory, std::move(lock));
  require(writer.commit(checkpoint::write_archive(task.state()), sidecar_of(1, "bench")));
}

// REQUIRES: prepare_pair. The files are in the page cache.
void measure_verify(const Settings& settings) {
  const auto directory = require(Directory::open(settings.directory, Directory::Create::no));
  const Store store(directory);
  for (int i = -kWarmUps; i < settings.repeat; ++i) {
    const double ours = seconds_of([&] { require(store.verify(1)); });
    if (i >= 0) report("verify", settings.bytes, "ours", ours);
  }
}

void write_file(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) give_up(make_error(ErrorKind::cannot_write, "could not write " + file.string() + "."));
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Not durable, since this many syncs would take minutes and what is timed is reading.
void make_pairs(const Settings& settings) {
  SyntheticTask task(std::size_t{16} << 10);
  const auto archive = checkpoint::write_archive(task.state());
  const std::string bytes(reinterpret_cast<const char*>(archive.data()), archive.size());
  for (Episode episode = 1; episode <= settings.pairs; ++episode) {
    Sidecar sidecar = sidecar_of(episode, "bench");
    sidecar.file = checkpoint::archive_name(episode);
    sidecar.bytes = archive.size();
    sidecar.digest = checkpoint::digest_of(archive);
    write_file(settings.directory / sidecar.file, bytes);
    write_file(settings.directory / checkpoint::sidecar_name(episode), checkpoint::to_json(sidecar));
  }
}

void damage(const fs::path& archive) {
  std::string bytes = read_file(archive);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file(archive, bytes);
}

void give_to_another_run(const fs::path& sidecar) {
  const std::string theirs = "\"another\"";
  std::string text = read_file(sidecar);
  text.replace(text.find("\"bench\""), std::strlen("\"bench\""), theirs);
  write_file(sidecar, text);
}

void measure_scan(const Settings& settings) {
  const auto directory = require(Directory::open(settings.directory, Directory::Create::yes));
  const Store store(directory);
  make_pairs(settings);
  const auto newest = [&](Episode count, const std::function<void(Episode)>& change) {
    for (Episode i = 0; i < std::min(count, settings.pairs - 1); ++i) change(settings.pairs - i);
  };
  const auto measure = [&](const std::string& what, Episode expected) {
    for (int i = -kWarmUps; i < settings.repeat; ++i) {
      Episode chosen = 0;
      const double seconds = seconds_of([&] {
        const auto choice = require(store.choose_newest("bench"));
        chosen = choice.newest ? choice.newest->sidecar.episode : 0;
      });
      if (chosen != expected) {
        give_up(make_error(ErrorKind::internal, "episode " + std::to_string(chosen) + " was chosen and not " +
                                                    std::to_string(expected) + "."));
      }
      if (i >= 0) report("scan", static_cast<std::size_t>(settings.pairs), what, seconds);
    }
  };
  const Episode below_the_newest = settings.pairs - std::min<Episode>(100, settings.pairs - 1);
  measure("ours", settings.pairs);
  for (int i = 0; i < settings.repeat; ++i) {
    report("scan", static_cast<std::size_t>(settings.pairs), "listing alone",
           seconds_of([&] { require(store.list()); }));
  }
  newest(100, [&](Episode episode) { damage(settings.directory / checkpoint::archive_name(episode)); });
  measure("ours: newest 100 damaged", below_the_newest);
  newest(100, [&](Episode episode) { give_to_another_run(settings.directory / checkpoint::sidecar_name(episode)); });
  measure("ours: newest 100 of another run", below_the_newest);
  newest(settings.pairs, [&](Episode episode) {
    if (episode <= below_the_newest) give_to_another_run(settings.directory / checkpoint::sidecar_name(episode));
  });
  measure("ours: all but the oldest of another run", 1);
}

}  // namespace
}  // namespace ts::bench

int main(int argc, char** argv) {
  ts::bench::Settings settings;
  CLI::App app("Measures the checkpoint engine; one JSON object a line. bench/checkpoints.py makes a table of it.");
  app.require_subcommand(1);
  app.add_option("--directory", settings.directory, "where files are written; they stay there")->required();
  app.add_option("--bytes", settings.bytes, "size of the state");
  app.add_option("--repeat", settings.repeat, "measurements");
  app.add_option("--pairs", settings.pairs, "of scan: checkpoints in the directory")->check(CLI::Range(2, 1'000'000));
  const auto add = [&](const char* name, const char* help, void (*measure)(const ts::bench::Settings&)) {
    app.add_subcommand(name, help)->fallthrough()->callback([&settings, measure] { measure(settings); });
  };
  add("stall", "a save's time on the training thread, beside memcpy", ts::bench::measure_stall);
  add("durable", "a save's time until it is acknowledged, in parts", ts::bench::measure_durable);
  add("prepare", "writes model_ep1.pt and .json for the next", ts::bench::prepare_pair);
  add("verify", "verifying the pair that prepare wrote", ts::bench::measure_verify);
  add("scan", "choosing among many pairs", ts::bench::measure_scan);
  CLI11_PARSE(app, argc, argv);
  return 0;
}
