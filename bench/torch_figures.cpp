// The figures that need libtorch: saving with torch::save and fsync (a peer of stall), and loading, ours into the
// trainer's agent beside torch::load into a module of the same tensors. bench/checkpoints.py runs this program.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <torch/torch.h>

#include "bench/support/report.h"
#include "bench/support/synthetic_task.h"
#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"
#include "worker/dqn/agent.h"
#include "worker/dqn/torch_runtime.h"

namespace ts::bench {
namespace {

namespace fs = std::filesystem;

using checkpoint::Dict;
using checkpoint::Directory;

struct Settings {
  fs::path directory;
  std::size_t bytes = std::size_t{1} << 20;
  int repeat = 3;
};

// The tensors of a state, as the buffers of a module: what torch::save and torch::load work on.
class Holder final : public torch::nn::Module {
 public:
  explicit Holder(const Dict& state) { add(state, ""); }

 private:
  void add(const Dict& dict, const std::string& prefix) {
    for (const auto& [name, value] : dict.items()) {
      std::string full = prefix + name;
      std::replace(full.begin(), full.end(), '.', '_');
      if (const auto* inner = std::get_if<std::shared_ptr<const Dict>>(&value)) {
        add(**inner, full + "_");
      } else {
        const auto& tensor = std::get<checkpoint::TensorView>(value);
        const auto dtype = tensor.dtype == checkpoint::DType::float32 ? torch::kFloat32 : torch::kInt64;
        void* elements = const_cast<std::byte*>(tensor.bytes.data());
        register_buffer(full, torch::from_blob(elements, tensor.shape, dtype).clone());
      }
    }
  }
};

void sync_file(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (!synced) give_up(make_error(ErrorKind::cannot_write, "could not sync " + file.string() + "."));
}

// What a training thread without us would do: save to a new file, sync it, remove the old one (not timed).
void measure_save(const Settings& settings) {
  SyntheticTask task(settings.bytes);
  const auto module = std::make_shared<Holder>(task.state());
  const fs::path file = settings.directory / "torch.pt";
  for (int i = -1; i < settings.repeat; ++i) {
    const double taken = seconds_of([&] {
      torch::save(module, file.string());
      sync_file(file);
    });
    if (i >= 0) report("stall", settings.bytes, "torch::save + fsync", taken);
    fs::remove(file);
  }
}

// Two hidden layers, so wide that weights, target and both moments together have about `bytes`.
std::unique_ptr<dqn::Agent> make_agent(std::size_t bytes, std::uint64_t seed) {
  trading::FeatureTable features;
  features.rows = 2;
  features.width = 2;
  features.values = {0.0F, 0.25F, 0.5F, 0.75F};
  config::Dqn dqn;
  const auto width = static_cast<std::int64_t>(std::sqrt(static_cast<double>(bytes) / 16.0 + 25.0) - 5.0);
  dqn.hidden = {width, width};
  dqn::RandomState random(seed);
  return std::make_unique<dqn::Agent>(dqn, features, "cpu", random);
}

constexpr const char* kTorchFile = "torch.pt";

Directory models_of(const Settings& settings) {
  return require(Directory::open(settings.directory, Directory::Create::yes));
}

void write_files(const Settings& settings) {
  const Directory directory = models_of(settings);
  const auto agent = make_agent(settings.bytes, 1);
  Dict state;
  agent->add_state(state);
  auto lock = require(checkpoint::DirectoryLock::acquire(directory, "bench"));
  checkpoint::StoreWriter writer(directory, std::move(lock));
  checkpoint::Sidecar sidecar;
  sidecar.episode = 1;
  sidecar.run_id = "bench";
  sidecar.created = "2026-01-31T12:34:56.789Z";
  require(writer.commit(checkpoint::write_archive(state), std::move(sidecar)));
  torch::save(std::make_shared<Holder>(state), (settings.directory / kTorchFile).string());
  sync_file(settings.directory / kTorchFile);
}

void load_ours(const Settings& settings) {
  const Directory directory = models_of(settings);
  const auto agent = make_agent(settings.bytes, 2);
  const checkpoint::Store store(directory, checkpoint::Store::Contents::map);
  const auto begun = Clock::now();
  Clock::time_point verified_at;
  Clock::time_point read_at;
  Clock::time_point taken_at;
  {
    const auto verified = require(store.verify(1));
    verified_at = Clock::now();
    const auto archive = require(checkpoint::read_archive(verified.archive.bytes(), verified.archive_name,
                                                          checkpoint::CrcCheck::already_digested));
    read_at = Clock::now();
    require(agent->load(archive.root));
    taken_at = Clock::now();
  }
  const auto ended = Clock::now();
  report("load", settings.bytes, "ours: digest, in place", seconds_between(begun, verified_at));
  report("load", settings.bytes, "ours: archive and pickle", seconds_between(verified_at, read_at));
  report("load", settings.bytes, "ours: copy into the network", seconds_between(read_at, taken_at));
  report("load", settings.bytes, "ours: memory given back", seconds_between(taken_at, ended));
  report("load", settings.bytes, "ours", seconds_between(begun, ended));
}

void load_torchs(const Settings& settings) {
  const auto agent = make_agent(settings.bytes, 2);
  Dict state;
  agent->add_state(state);
  auto module = std::make_shared<Holder>(state);
  const auto loaded = seconds_of([&] { torch::load(module, (settings.directory / kTorchFile).string()); });
  report("load", settings.bytes, "torch::load", loaded);
}

}  // namespace
}  // namespace ts::bench

int main(int argc, char** argv) {
  ts::bench::Settings settings;
  CLI::App app("Measures loading, and libtorch's own saving; one JSON object a line.");
  app.require_subcommand(1);
  app.add_option("--directory", settings.directory, "where files are written; they stay there")->required();
  app.add_option("--bytes", settings.bytes, "size of the state");
  app.add_option("--repeat", settings.repeat, "measurements");
  ts::dqn::set_up_torch(1, 1);
  const auto add = [&](const char* name, const char* help, void (*measure)(const ts::bench::Settings&)) {
    app.add_subcommand(name, help)->fallthrough()->callback([&settings, measure] { measure(settings); });
  };
  add("save", "torch::save and fsync", ts::bench::measure_save);
  // Each load has a process of its own, as a trainer loads: once, with a heap that has not been used before.
  add("write", "what the two loads read", ts::bench::write_files);
  add("load-ours", "verified, into a built network", ts::bench::load_ours);
  add("load-torch", "torch::load of a module", ts::bench::load_torchs);
  CLI11_PARSE(app, argc, argv);
  return 0;
}
