// The double DQN agent: a Q-network over market windows, its target network and its optimizer. libtorch lives behind
// this header, not in it.
//
// Sources: Mnih et al.: Human-level control through deep reinforcement learning, Nature 518 (2015); van Hasselt, Guez,
// Silver: Deep Reinforcement Learning with Double Q-learning, AAAI 2016; Kingma, Ba: Adam, ICLR 2015; He et al.:
// Delving Deep into Rectifiers, ICCV 2015 (initial weights).
//
// An observation is a row of the feature table and the position held, one-hot: width + 3 numbers.
// Ownership: copies the feature table to its device. Threading: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/state.h"
#include "common/config/config.h"
#include "worker/dqn/random_state.h"
#include "worker/dqn/replay.h"
#include "worker/trading/features.h"
#include "worker/trading/portfolio.h"
#include "worker/trading/splits.h"

namespace ts::dqn {

class Agent {
 public:
  // `device` as torch names it: "cpu", "cuda:0". Initial weights are drawn from `random`.
  Agent(const config::Dqn& config, const trading::FeatureTable& features, const std::string& device,
        RandomState& random);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // The action of highest value at the close of `day`, holding `position` (an action index).
  std::int64_t best_action(std::size_t day, std::int64_t position);

  // The positions of the greedy policy over all days of `span`, beginning flat.
  std::vector<trading::Position> greedy_positions(const trading::Span& span);

  // One gradient step on the double DQN loss of `batch`. An error (kind internal) when the loss is not finite.
  Result<double> learn(const std::vector<Transition>& batch);

  void update_target();

  // "model", "target" (named as torch.nn.Sequential names them) and "optimizer", in the CPU's memory. The views are
  // valid until the next call of a member that is not const.
  void add_state(checkpoint::Dict& state);

  // Checks everything first, then takes it over.
  Result<> load(const checkpoint::Dict& state);

  // Takes over a model of another origin: its weights from `state`["model"], or from a bare state dict as
  // torch.nn.Sequential names it; also into the target network. And Adam's moments from `state`["optimizer"] where they
  // fit, in our form or as Python's optimizer.state_dict() writes them: then the result is true. An error names the
  // tensor that does not fit, and nothing has changed.
  Result<bool> import_model(const checkpoint::Dict& state);

 private:
  struct Copies;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ts::dqn
