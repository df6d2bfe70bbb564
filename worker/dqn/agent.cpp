#include "worker/dqn/agent.h"

#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include <torch/torch.h>

namespace ts::dqn {
namespace {

using checkpoint::Dict;
using checkpoint::DType;
using trading::kActionCount;

// Daily rewards are fractions of a percent; in percent the values that the network fits are of order one.
constexpr float kRewardScale = 100.0F;

torch::nn::Sequential make_network(std::int64_t inputs, const std::vector<std::int64_t>& hidden) {
  torch::nn::Sequential network;
  for (const std::int64_t units : hidden) {
    network->push_back(torch::nn::Linear(inputs, units));
    network->push_back(torch::nn::ReLU());
    inputs = units;
  }
  network->push_back(torch::nn::Linear(inputs, kActionCount));
  return network;
}

// He's uniform initialisation, drawn from our own random state so that no hidden generator takes part.
void initialise(torch::nn::Sequential& network, RandomState& random) {
  torch::NoGradGuard no_grad;
  for (auto& parameter : network->parameters()) {
    if (parameter.dim() < 2) {
      parameter.zero_();
      continue;
    }
    const double bound = std::sqrt(6.0 / static_cast<double>(parameter.size(1)));
    auto values = torch::empty(parameter.sizes(), torch::kFloat32);
    float* out = values.data_ptr<float>();
    for (std::int64_t i = 0; i < values.numel(); ++i)
      out[i] = static_cast<float>((2.0 * random.uniform() - 1.0) * bound);
    parameter.copy_(values);
  }
}

void copy_parameters(torch::nn::Sequential& from, torch::nn::Sequential& to) {
  torch::NoGradGuard no_grad;
  const auto sources = from->parameters();
  auto targets = to->parameters();
  for (std::size_t i = 0; i < sources.size(); ++i) targets[i].copy_(sources[i]);
}

// The optimizer's state is keyed by text up to libtorch 2.0 and by address since.
template <class Key>
Key state_key(const torch::Tensor& parameter) {
  if constexpr (std::is_same_v<Key, std::string>) {
    return c10::guts::to_string(parameter.unsafeGetTensorImpl());
  } else {
    return parameter.unsafeGetTensorImpl();
  }
}

torch::optim::AdamParamState& adam_state(torch::optim::Adam& optimizer, const torch::Tensor& parameter) {
  using Key = std::decay_t<decltype(optimizer.state())>::key_type;
  return static_cast<torch::optim::AdamParamState&>(*optimizer.state().at(state_key<Key>(parameter)));
}

// Adam makes its state at the first step; a saved state must have the same members before it.
void create_adam_state(torch::optim::Adam& optimizer, const std::vector<torch::Tensor>& parameters) {
  using Key = std::decay_t<decltype(optimizer.state())>::key_type;
  for (const auto& parameter : parameters) {
    auto state = std::make_unique<torch::optim::AdamParamState>();
    state->step(0);
    state->exp_avg(torch::zeros_like(parameter));
    state->exp_avg_sq(torch::zeros_like(parameter));
    optimizer.state()[state_key<Key>(parameter)] = std::move(state);
  }
}

void copy_in(const checkpoint::TensorView& view, torch::Tensor target) {
  if (view.bytes.empty()) return;
  torch::NoGradGuard no_grad;
  if (target.device().is_cpu() && target.is_contiguous()) {
    std::memcpy(target.data_ptr(), view.bytes.data(), view.bytes.size());
    return;
  }
  auto staged = torch::empty(target.sizes(), torch::kFloat32);
  std::memcpy(staged.data_ptr(), view.bytes.data(), view.bytes.size());
  target.copy_(staged);
}

}  // namespace

struct Agent::Impl {
  Impl(const config::Dqn& dqn, const trading::FeatureTable& table, const std::string& device_name)
      : config(dqn),
        device(device_name),
        first_day(static_cast<std::int64_t>(table.first_day)),
        inputs(static_cast<std::int64_t>(table.width) + kActionCount),
        model(make_network(inputs, dqn.hidden)),
        target(make_network(inputs, dqn.hidden)) {
    model->to(device);
    target->to(device);
    features = torch::from_blob(const_cast<float*>(table.values.data()),
                                {static_cast<std::int64_t>(table.rows), static_cast<std::int64_t>(table.width)})
                   .clone()
                   .to(device);
    one_hot = torch::eye(kActionCount, torch::TensorOptions(torch::kFloat32).device(device));
    optimizer = std::make_unique<torch::optim::Adam>(model->parameters(), torch::optim::AdamOptions(dqn.learning_rate));
    create_adam_state(*optimizer, model->parameters());
  }

  torch::Tensor observe(const torch::Tensor& rows, const torch::Tensor& positions) const {
    return torch::cat({features.index_select(0, rows), one_hot.index_select(0, positions)}, 1);
  }

  torch::Tensor to_device(std::vector<std::int64_t>& values) const {
    return torch::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, torch::kInt64)
        .clone()
        .to(device);
  }

  // A view of the tensor's elements; the CPU copy that it may need lives until the next call of add_state.
  checkpoint::TensorView view(const torch::Tensor& tensor) {
    kept.push_back(tensor.detach().to(torch::kCPU).contiguous());
    const torch::Tensor& on_cpu = kept.back();
    const auto* data = static_cast<const std::byte*>(on_cpu.data_ptr());
    return {DType::float32, on_cpu.sizes().vec(), {data, on_cpu.nbytes()}};
  }

  config::Dqn config;
  torch::Device device;
  std::int64_t first_day;
  std::int64_t inputs;
  torch::nn::Sequential model;
  torch::nn::Sequential target;
  torch::Tensor features;  // [rows, width]
  torch::Tensor one_hot;   // [3, 3]
  std::unique_ptr<torch::optim::Adam> optimizer;
  std::vector<torch::Tensor> kept;
  std::int64_t optimizer_steps = 0;
};

Agent::Agent(const config::Dqn& config, const trading::FeatureTable& features, const std::string& device,
             RandomState& random)
    : impl_(std::make_unique<Impl>(config, features, device)) {
  initialise(impl_->model, random);
  update_target();
}

Agent::~Agent() = default;

std::int64_t Agent::best_action(std::size_t day, std::int64_t position) {
  torch::NoGradGuard no_grad;
  const auto features = impl_->features.narrow(0, static_cast<std::int64_t>(day) - impl_->first_day, 1);
  const auto observation = torch::cat({features, impl_->one_hot.narrow(0, position, 1)}, 1);
  return impl_->model->forward(observation).argmax(1).item<std::int64_t>();
}

// The values of every (day, position) are computed in one pass; only the walk through them is sequential.
std::vector<trading::Position> Agent::greedy_positions(const trading::Span& span) {
  torch::NoGradGuard no_grad;
  const auto days = static_cast<std::int64_t>(span.size());
  const auto rows = impl_->features.narrow(0, static_cast<std::int64_t>(span.begin) - impl_->first_day, days);
  std::vector<torch::Tensor> choices;
  for (std::int64_t held = 0; held < kActionCount; ++held) {
    const auto observation = torch::cat({rows, impl_->one_hot.narrow(0, held, 1).expand({days, kActionCount})}, 1);
    choices.push_back(impl_->model->forward(observation).argmax(1).to(torch::kCPU));
  }
  std::vector<trading::Position> positions;
  std::int64_t held = trading::action_of(trading::Position::flat);
  for (std::int64_t day = 0; day < days; ++day) {
    held = choices[static_cast<std::size_t>(held)].data_ptr<std::int64_t>()[day];
    positions.push_back(trading::position_of(held));
  }
  return positions;
}

Result<double> Agent::learn(const std::vector<Transition>& batch) {
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> next_rows;
  std::vector<std::int64_t> positions;
  std::vector<std::int64_t> actions;
  std::vector<float> rewards;
  for (const Transition& transition : batch) {
    rows.push_back(transition.day - impl_->first_day);
    next_rows.push_back(transition.day + 1 - impl_->first_day);
    positions.push_back(transition.position);
    actions.push_back(transition.action);
    rewards.push_back(transition.reward * kRewardScale);
  }
  const auto action = impl_->to_device(actions);
  const auto reward =
      torch::from_blob(rewards.data(), {static_cast<std::int64_t>(rewards.size()), 1}).clone().to(impl_->device);
  torch::Tensor wanted;
  {
    torch::NoGradGuard no_grad;
    // The position after the action is the action's own, so the next observation follows from both.
    const auto next = impl_->observe(impl_->to_device(next_rows), action);
    const auto chosen = impl_->model->forward(next).argmax(1, true);
    // An episode ends because its time is up, not because the market does: its last value is bootstrapped too.
    wanted = reward + impl_->config.gamma * impl_->target->forward(next).gather(1, chosen);
  }
  const auto observation = impl_->observe(impl_->to_device(rows), impl_->to_device(positions));
  const auto value = impl_->model->forward(observation).gather(1, action.unsqueeze(1));
  const auto loss = torch::smooth_l1_loss(value, wanted);
  const double loss_value = loss.item<double>();
  if (!std::isfinite(loss_value)) {
    return make_error(ErrorKind::internal,
                      "the loss is not a finite number; training would only make it worse. Lower dqn.learning_rate, or "
                      "look at the data.");
  }
  impl_->optimizer->zero_grad();
  loss.backward();
  torch::nn::utils::clip_grad_norm_(impl_->model->parameters(), impl_->config.grad_clip);
  impl_->optimizer->step();
  return loss_value;
}

void Agent::update_target() {
  copy_parameters(impl_->model, impl_->target);
}

void Agent::add_state(Dict& state) {
  impl_->kept.clear();
  Dict model;
  Dict target;
  Dict exp_avg;
  Dict exp_avg_sq;
  for (const auto& item : impl_->model->named_parameters()) {
    model.add(item.key(), impl_->view(item.value()));
    const auto& adam = adam_state(*impl_->optimizer, item.value());
    impl_->optimizer_steps = adam.step();
    exp_avg.add(item.key(), impl_->view(adam.exp_avg()));
    exp_avg_sq.add(item.key(), impl_->view(adam.exp_avg_sq()));
  }
  for (const auto& item : impl_->target->named_parameters()) target.add(item.key(), impl_->view(item.value()));
  Dict optimizer;
  optimizer.add("step", checkpoint::view_of(impl_->optimizer_steps));
  optimizer.add("exp_avg", std::move(exp_avg));
  optimizer.add("exp_avg_sq", std::move(exp_avg_sq));
  state.add("model", std::move(model));
  state.add("target", std::move(target));
  state.add("optimizer", std::move(optimizer));
}

// What a load will do, decided in full before the first byte is copied.
struct Agent::Copies {
  struct Copy {
    checkpoint::TensorView from;
    torch::Tensor to;
  };
  std::vector<Copy> copies;
  std::optional<std::int64_t> optimizer_steps;

  // A tensor of `dict` for each of the network's parameters, found by its name.
  template <class Destination>
  Result<> add(const Dict& dict, const std::string& path, torch::nn::Sequential& network, Destination&& destination) {
    for (const auto& item : network->named_parameters()) {
      const auto found = checkpoint::expect_tensor(dict, item.key(), DType::float32, item.value().sizes().vec(), path);
      if (!found) return found.error();
      copies.push_back({*found, destination(item.value())});
    }
    return {};
  }

  void carry_out(Impl& impl) const {
    for (const Copy& copy : copies) copy_in(copy.from, copy.to);
    if (!optimizer_steps) return;
    for (const auto& parameter : impl.model->parameters())
      adam_state(*impl.optimizer, parameter).step(*optimizer_steps);
  }

  Result<> add_network(const Dict& state, const std::string& name, torch::nn::Sequential& network) {
    const auto dict = checkpoint::expect_dict(state, name);
    if (!dict) return dict.error();
    return add(**dict, name + ".", network, [](const auto& parameter) { return parameter; });
  }

  // {"step", "exp_avg": {name: tensor}, "exp_avg_sq": {name: tensor}}
  Result<> add_optimizer(const Dict& state, Impl& impl) {
    const auto optimizer = checkpoint::expect_dict(state, "optimizer");
    if (!optimizer) return optimizer.error();
    const auto steps = checkpoint::expect_int64(**optimizer, "step");
    if (!steps) return steps.error();
    for (const std::string moment : {"exp_avg", "exp_avg_sq"}) {
      const auto dict = checkpoint::expect_dict(**optimizer, moment);
      if (!dict) return dict.error();
      const auto added = add(**dict, "optimizer." + moment + ".", impl.model, [&](const auto& parameter) {
        auto& adam = adam_state(*impl.optimizer, parameter);
        return moment == "exp_avg" ? adam.exp_avg() : adam.exp_avg_sq();
      });
      if (!added) return added.error();
    }
    optimizer_steps = *steps;
    return {};
  }

  // torch.optim.Adam.state_dict(): {"state": {index of the parameter: {"step", "exp_avg", "exp_avg_sq"}}, …}
  bool add_python_optimizer(const Dict& state, Impl& impl) {
    const Dict* optimizer = state.dict("optimizer");
    const Dict* all = optimizer == nullptr ? nullptr : optimizer->dict("state");
    if (all == nullptr) return false;
    std::size_t index = 0;
    for (const auto& parameter : impl.model->parameters()) {
      const Dict* moments = all->dict(std::to_string(index++));
      if (moments == nullptr) return false;
      const auto shape = parameter.sizes().vec();
      const auto average = checkpoint::expect_tensor(*moments, "exp_avg", DType::float32, shape);
      const auto square = checkpoint::expect_tensor(*moments, "exp_avg_sq", DType::float32, shape);
      const auto steps = checkpoint::whole_number(*moments, "step");
      if (!average || !square || !steps) return false;
      auto& adam = adam_state(*impl.optimizer, parameter);
      copies.push_back({*average, adam.exp_avg()});
      copies.push_back({*square, adam.exp_avg_sq()});
      optimizer_steps = *steps;
    }
    return true;
  }
};

Result<> Agent::load(const Dict& state) {
  Copies copies;
  Result<> fits = copies.add_network(state, "model", impl_->model);
  if (fits) fits = copies.add_network(state, "target", impl_->target);
  if (fits) fits = copies.add_optimizer(state, *impl_);
  if (!fits) return fits.error();
  copies.carry_out(*impl_);
  return {};
}

Result<bool> Agent::import_model(const Dict& state) {
  Copies weights;
  const bool is_bare = state.dict("model") == nullptr;
  const Result<> fits = is_bare ? weights.add(state, "", impl_->model, [](const auto& parameter) { return parameter; })
                                : weights.add_network(state, "model", impl_->model);
  if (!fits) return fits.error();
  Copies moments;
  bool has_moments = moments.add_optimizer(state, *impl_).has_value();
  if (!has_moments) {
    moments = {};
    has_moments = moments.add_python_optimizer(state, *impl_);
  }
  weights.carry_out(*impl_);
  if (has_moments) moments.carry_out(*impl_);
  update_target();
  return has_moments;
}

}  // namespace ts::dqn
