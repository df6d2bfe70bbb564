#include "worker/session/snapshot.h"

#include <chrono>
#include <utility>

namespace ts::session {

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

void SnapshotBuffers::take(TrainingTask& task, const Counters& counters, const EpisodeResult& result) {
  const auto begun = std::chrono::steady_clock::now();
  const std::size_t next = newest_ ? 1 - *newest_ : 0;
  Buffer& buffer = buffers_[next];
  buffer.snapshot.counters = counters;
  buffer.snapshot.result = result;
  const checkpoint::Dict state = assemble_state(task, buffer.snapshot.counters);
  if (!layout_ || !layout_->fits(state)) layout_ = checkpoint::ArchiveLayout::plan(state);
  // Sized once; from then on a copy touches only pages that are there.
  buffer.bytes.resize(layout_->file_bytes());
  layout_->copy_tensors(state, buffer.bytes);
  buffer.is_sealed = false;
  buffer.snapshot.archive = buffer.bytes;
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begun;
  buffer.snapshot.copy_ms = taken.count();
  newest_ = next;
}

const Snapshot& SnapshotBuffers::sealed() {
  Buffer& buffer = buffers_[*newest_];
  if (!buffer.is_sealed) {
    layout_->seal(buffer.bytes);
    buffer.is_sealed = true;
  }
  return buffer.snapshot;
}

}  // namespace ts::session
