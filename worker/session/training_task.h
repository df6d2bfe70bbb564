// What is trained, as the session sees it: one implementation of this interface is the trading task. The session (loop,
// saving, resuming, signals, beats) knows nothing else about it, and nothing here knows libtorch.
//
// Threading: one thread, the training thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include "common/base/result.h"
#include "common/checkpoint/state.h"
#include "common/protocol/notify_message.h"

namespace ts::session {

// Asked once for every step of training, from within an episode.
class StepGate {
 public:
  virtual ~StepGate() = default;

  // False: give up the episode now. Cheap enough for every step.
  virtual bool step(std::int64_t steps_total) = 0;
  virtual void enter(protocol::Phase phase) = 0;
};

struct EpisodeResult {
  protocol::Metrics metrics;  // finite numbers, by name
  double epsilon = 0.0;
};

class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  // Trains episode `episode` (1, 2, …), calling gate.step() before each step. Nothing when the gate said stop: the
  // state is then in the middle of an episode and is neither saved nor gone on with. Errors of kind internal: a
  // non-finite loss and the like.
  virtual Result<std::optional<EpisodeResult>> run_episode(std::int64_t episode, StepGate& gate) = 0;

  // Everything that the rest of the training depends on: networks, optimizer, random state, replay, counters. Names,
  // dtypes and shapes are the same at every call. The views are valid until the next call of anything.
  virtual checkpoint::Dict state() = 0;

  // Takes over a state after every name, dtype and shape has been checked: an error (kind checkpoint) names the tensor
  // and leaves the task as it was. Members that are not the task's are ignored.
  virtual Result<> load(const checkpoint::Dict& state) = 0;

  // Takes over what a file of another origin holds of this task (the weights of a model trained elsewhere), where
  // load() has found that it is no complete state. The result says what was taken over and what starts anew, for
  // people; nothing when this task takes over no such files. An error names the tensor that does not fit, and nothing
  // has changed.
  virtual Result<std::optional<std::string>> import_model(const checkpoint::Dict&) {
    return std::optional<std::string>();
  }

  virtual boost::json::object hyperparameters() const = 0;

  // What must be equal for a resumed run to be bit-identical: threads, instruction set, library builds, data.
  virtual boost::json::object exactness() const = 0;
};

}  // namespace ts::session
