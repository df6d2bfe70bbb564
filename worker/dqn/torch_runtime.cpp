#include "worker/dqn/torch_runtime.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include <torch/torch.h>
#include <torch/version.h>

#include "common/base/text.h"

namespace ts::dqn {
namespace {

// OpenBLAS is chosen by the system's alternatives, not linked by us, so its functions are there or they are not.
template <class Function>
Function* blas_function(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

std::string blas_name() {
  if (auto* config = blas_function<char*()>("openblas_get_config")) return config();
  return "unknown";
}

// "CPU capability usage: AVX2" in what libtorch prints about itself.
std::string cpu_capability() {
  static constexpr std::string_view kLabel = "CPU capability usage: ";
  const std::string text = at::show_config();
  const std::size_t at = text.find(kLabel);
  if (at == std::string::npos) return "unknown";
  const std::size_t begin = at + kLabel.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

void set_up_torch(int threads, std::uint64_t seed) {
  // Read by cuBLAS at its first call; without it some of its algorithms differ from run to run.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::set_num_threads(threads);
  if (auto* set_threads = blas_function<void(int)>("openblas_set_num_threads")) set_threads(threads);
  at::globalContext().setDeterministicAlgorithms(true, true);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  torch::manual_seed(seed);
}

Result<std::string> resolve_device(const std::string& wanted) {
  const bool cuda = torch::cuda::is_available();
  if (wanted == "cpu" || (wanted == "auto" && !cuda)) return std::string("cpu");
  if (!cuda) {
    return make_error(ErrorKind::configuration,
                      "training.device is \"" + escape_control(wanted) +
                          "\", but this libtorch finds no CUDA device; use cpu or auto, or a libtorch built for CUDA.");
  }
  const std::string name = wanted == "auto" || wanted == "cuda" ? "cuda:0" : wanted;
  const auto index = parse_plain_integer(std::string_view(name).substr(name.find(':') + 1));
  const auto count = static_cast<std::int64_t>(torch::cuda::device_count());
  if (!index || *index >= count) {
    return make_error(ErrorKind::configuration, "training.device is \"" + escape_control(wanted) +
                                                    "\", but there are " + std::to_string(count) +
                                                    " CUDA devices, numbered from 0.");
  }
  return name;
}

boost::json::object describe_exactness(const std::string& device) {
  boost::json::object out;
  out["torch"] = TORCH_VERSION;
  out["threads"] = at::get_num_threads();
  out["isa"] = cpu_capability();
  out["blas"] = blas_name();
  out["deterministic"] = at::globalContext().deterministicAlgorithms();
  out["device"] = device;
  return out;
}

std::vector<std::uint8_t> save_torch_generator() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  const auto state = generator.get_state().contiguous();
  const auto* data = state.data_ptr<std::uint8_t>();
  return {data, data + state.numel()};
}

Result<> restore_torch_generator(const std::vector<std::uint8_t>& bytes) {
  auto generator = at::detail::getDefaultCPUGenerator();
  auto state = torch::empty({static_cast<std::int64_t>(bytes.size())}, torch::kUInt8);
  if (!bytes.empty()) std::memcpy(state.data_ptr(), bytes.data(), bytes.size());
  try {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state);
  } catch (const c10::Error&) {
    return make_error(ErrorKind::checkpoint, "\"rng.torch_cpu\" is no state of libtorch's generator");
  }
  return {};
}

}  // namespace ts::dqn
