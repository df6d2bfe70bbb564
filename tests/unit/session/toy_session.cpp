#include "tests/unit/session/toy_session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "worker/session/signals.h"

namespace ts::session {
namespace {

using checkpoint::DType;

// What a session's process does from fork to exit.
[[noreturn]] void be_a_session(ToyTask& task, const config::Config& config, const ResumeRequest& resume,
                               const std::filesystem::path& output) {
  const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(fd, STDOUT_FILENO);
  install_signal_handlers();
  const auto ended = [&]() -> Result<protocol::ExitCode> {
    try {
      return run_session(task, config, {resume, "toy"});
    } catch (const std::exception& error) {
      return make_error(ErrorKind::internal, error.what());
    }
  }();
  if (!ended) std::printf("%s\n", ended.error().message.c_str());
  std::fflush(stdout);
  ::_exit(static_cast<int>(ended ? *ended : protocol::exit_code_for(ended.error().kind)));
}

void wait_for_save(const config::Config& config, std::int64_t episode) {
  if (episode == 0 || episode % config.checkpoints.save_frequency != 0) return;
  const auto sidecar = config.checkpoints.directory / checkpoint::sidecar_name(episode);
  for (int tries = 0; tries < 3000 && !std::filesystem::exists(sidecar); ++tries) ::usleep(1000);
}

}  // namespace

Result<std::optional<EpisodeResult>> ToyTask::run_episode(std::int64_t episode, StepGate& gate) {
  before_episode(episode);
  for (int step = 0; step < kStepsPerEpisode; ++step) {
    on_step(episode, step);
    if (!gate.step(steps_)) return std::optional<EpisodeResult>();
    if (is_stuck) continue;
    random_ = (random_ * 48271 + 11) % 2147483647;
    auto& weight = weights_[static_cast<std::size_t>(random_) % weights_.size()];
    weight = weight * 0.75F + static_cast<float>(random_ % 1000) / 1000.0F;
    ++steps_;
  }
  on_episode(episode);
  const auto given = profits.find(episode);
  EpisodeResult result;
  result.epsilon = 0.5;
  result.metrics = {{metric, given != profits.end() ? given->second : static_cast<double>(weights_[0])},
                    {"loss", 0.25}};
  return std::optional(result);
}

checkpoint::Dict ToyTask::state() {
  checkpoint::Dict model;
  model.add("weights", checkpoint::view_of(DType::float32, weights_));
  checkpoint::Dict out;
  out.add("model", std::move(model));
  out.add("random", checkpoint::view_of(random_));
  out.add("steps", checkpoint::view_of(steps_));
  return out;
}

Result<> ToyTask::load(const checkpoint::Dict& state) {
  const auto model = checkpoint::expect_dict(state, "model");
  if (!model) return model.error();
  const std::array<std::int64_t, 1> shape = {static_cast<std::int64_t>(weights_.size())};
  const auto weights = checkpoint::expect_tensor(**model, "weights", DType::float32, shape, "model.");
  if (!weights) return weights.error();
  const auto random = checkpoint::expect_int64(state, "random");
  if (!random) return random.error();
  const auto steps = checkpoint::expect_int64(state, "steps");
  if (!steps) return steps.error();
  weights_ = checkpoint::copy_elements<float>(*weights);
  random_ = *random;
  steps_ = *steps;
  return {};
}

// A bare {"weights"} is a model of another origin.
Result<std::optional<std::string>> ToyTask::import_model(const checkpoint::Dict& state) {
  const std::array<std::int64_t, 1> shape = {static_cast<std::int64_t>(weights_.size())};
  const auto weights = checkpoint::expect_tensor(state, "weights", DType::float32, shape);
  if (!weights) return weights.error();
  weights_ = checkpoint::copy_elements<float>(*weights);
  return std::optional<std::string>("its weights are taken over");
}

Outcome ToySession::run_in(const config::Config& configuration, const ResumeRequest& resume) {
  const auto output = directory / "output";
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (keep_pace) task.before_episode = [&](std::int64_t episode) { wait_for_save(configuration, episode - 1); };
    be_a_session(task, configuration, resume, output);
  }
  on_begun();
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  Outcome outcome;
  if (WIFEXITED(status)) outcome.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  outcome.output = read_text(output);
  return outcome;
}

void ToySession::raise_at(int signal, std::int64_t episode, int step) {
  task.on_step = [=](std::int64_t at_episode, int at_step) {
    if (at_episode == episode && at_step == step) ::raise(signal);
  };
}

std::vector<std::int64_t> ToySession::episodes() const {
  std::vector<std::int64_t> out;
  const auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::no);
  const checkpoint::Store store(opened.value());
  const auto listing = store.list().value();
  for (const auto& [episode, files] : listing.episodes) {
    const auto verified = store.verify(episode);
    EXPECT_TRUE(verified.has_value()) << verified.error().message;
    out.push_back(episode);
  }
  return out;
}

checkpoint::Sidecar ToySession::sidecar(std::int64_t episode) const {
  const auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::no);
  return checkpoint::Store(opened.value()).read_sidecar(episode).value();
}

checkpoint::Sidecar ToySession::best_sidecar() const {
  const auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::no);
  return checkpoint::Store(opened.value()).verify_best().value().sidecar;
}

std::string ToySession::uninterrupted(std::int64_t episodes) {
  config::Config reference = config;
  reference.training.episodes = episodes;
  reference.checkpoints.directory = directory / ("uninterrupted-" + std::to_string(episodes));
  const auto on_step = std::exchange(task.on_step, [](auto, auto) {});
  EXPECT_EQ(run_in(reference, {ResumeRequest::Kind::automatic, ""}).code, 0);
  task.on_step = on_step;
  return read_text(reference.checkpoints.directory / checkpoint::archive_name(episodes));
}

}  // namespace ts::session
