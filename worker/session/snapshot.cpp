#include "worker/session/snapshot.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/checkpoint/digest.h"

namespace ts::session {
namespace {

using checkpoint::ArchiveLayout;

constexpr std::size_t kSessionTensors = 3;  // best.episode, best.value, episode: see assemble_state

}  // namespace

checkpoint::Dict assemble_state(TrainingTask& task, const Counters& counters) {
  checkpoint::Dict state = task.state();
  checkpoint::Dict best;
  best.add("episode", checkpoint::view_of(counters.best.episode));
  best.add("value", checkpoint::view_of(counters.best.value));
  state.add("episode", checkpoint::view_of(counters.episode));
  state.add("best", std::move(best));
  return state;
}

Result<Counters> read_counters(const checkpoint::Dict& state) {
  Counters counters;
  const auto episode = checkpoint::expect_int64(state, "episode");
  if (!episode) return episode.error();
  counters.episode = *episode;
  if (const checkpoint::Dict* best = state.dict("best")) {
    const auto best_episode = checkpoint::expect_int64(*best, "episode");
    if (!best_episode) return best_episode.error();
    const auto best_value = checkpoint::expect_float64(*best, "value");
    if (!best_value) return best_value.error();
    counters.best = {*best_episode, *best_value};
  }
  if (counters.episode < 0 || counters.best.episode < 0) {
    return make_error(ErrorKind::checkpoint, "its counters are negative");
  }
  return counters;
}

std::span<const std::byte> Snapshot::sealed() {
  const std::lock_guard lock(mutex_);
  if (!is_sealed_ && layout_) checksums_ = layout_->seal(memory_.bytes());
  is_sealed_ = true;
  return memory_.bytes();
}

std::string Snapshot::digest() {
  const auto archive = sealed();
  const std::lock_guard lock(mutex_);
  if (digest_.empty()) digest_ = checkpoint::digest_of(archive);
  return digest_;
}

std::string Snapshot::known_digest() const {
  const std::lock_guard lock(mutex_);
  return digest_;
}

Result<> SnapshotPool::prepare(TrainingTask& task) {
  const Counters counters;
  layout_ = std::make_shared<const ArchiveLayout>(ArchiveLayout::plan(assemble_state(task, counters)));
  for (std::size_t i = 0; i < kReady; ++i) {
    const auto prepared = prepare_another();
    if (!prepared) return prepared.error();
  }
  return {};
}

Result<> SnapshotPool::prepare_another() {
  auto memory = MemoryFile::create(layout_->file_bytes());
  if (!memory) return memory.error();
  auto buffer = std::make_unique<Snapshot>();
  buffer->memory_ = std::move(*memory);
  const std::lock_guard lock(free_->mutex);
  free_->buffers.push_back(std::move(buffer));
  return {};
}

std::unique_ptr<Snapshot> SnapshotPool::free_buffer(std::size_t bytes) {
  std::unique_lock lock(free_->mutex);
  while (true) {
    std::unique_ptr<Snapshot> buffer;
    if (!free_->buffers.empty()) {
      buffer = std::move(free_->buffers.back());
      free_->buffers.pop_back();
      if (buffer->memory_.bytes().size() == bytes) return buffer;
      buffer->memory_ = MemoryFile();  // first, so that there is room for the other size
    }
    auto memory = MemoryFile::create(bytes);
    if (memory) {
      if (!buffer) buffer = std::make_unique<Snapshot>();
      buffer->memory_ = std::move(*memory);
      return buffer;
    }
    free_->returned.wait(lock, [&] { return !free_->buffers.empty(); });
  }
}

SnapshotRef SnapshotPool::lend(std::unique_ptr<Snapshot> buffer) const {
  return {buffer.release(), [list = free_](Snapshot* returned) {
            {
              const std::lock_guard lock(list->mutex);
              list->buffers.emplace_back(returned);
            }
            list->returned.notify_one();
          }};
}

SnapshotRef SnapshotPool::take(TrainingTask& task, const Counters& counters, const EpisodeResult& result) {
  const auto begun = std::chrono::steady_clock::now();
  const checkpoint::Dict state = assemble_state(task, counters);
  if (!layout_->fits(state)) layout_ = std::make_shared<const ArchiveLayout>(ArchiveLayout::plan(state));
  auto buffer = free_buffer(layout_->file_bytes());
  buffer->counters = counters;
  buffer->result = result;
  layout_->copy_tensors(state, buffer->memory_.bytes());
  buffer->layout_ = layout_;
  buffer->task_tensors_ = layout_->tensor_count() - kSessionTensors;
  buffer->is_sealed_ = false;
  buffer->digest_.clear();
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begun;
  buffer->copy_ms = taken.count();
  return lend(std::move(buffer));
}

Result<SnapshotRef> SnapshotPool::copy_of(std::span<const std::byte> archive) {
  auto memory = MemoryFile::create(archive.size());
  if (!memory) return memory.error();
  auto buffer = std::make_unique<Snapshot>();
  buffer->memory_ = std::move(*memory);
  std::ranges::copy(archive, buffer->memory_.bytes().begin());
  return lend(std::move(buffer));
}

}  // namespace ts::session
