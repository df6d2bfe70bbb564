#include "tests/unit/checkpoint/support.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/state.h"

namespace ts::checkpoint {
namespace {

template <class T>
T require(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  // In memory where there is such a place: these tests make thousands of directories, and sync none of them.
  std::string pattern = "/dev/shm/checkpoint-test-XXXXXX";
  if (std::getenv("TMPDIR") != nullptr || ::mkdtemp(pattern.data()) == nullptr) {
    pattern = (std::filesystem::temp_directory_path() / "checkpoint-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  }
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Models::Models(const std::filesystem::path& path, FileSystem& fs)
    : directory(require(Directory::open(path, Directory::Create::yes, fs))),
      store(directory),
      writer(directory, require(DirectoryLock::acquire(directory, "test"))) {}

std::vector<std::byte> small_archive(std::int64_t variant) {
  const std::vector<float> weights = {static_cast<float>(variant), 0.5F, -1.25F};
  Dict model;
  model.add("weight", view_of(DType::float32, weights));
  Dict state;
  state.add("model", std::move(model));
  state.add("episode", view_of(variant));
  return write_archive(state);
}

Sidecar sidecar_for(Episode episode, double profit, const std::string& run_id) {
  Sidecar sidecar;
  sidecar.episode = episode;
  sidecar.total_episodes = 300;
  sidecar.run_id = run_id;
  sidecar.attempt = 1;
  sidecar.created = "2026-01-31T12:34:56.789Z";
  sidecar.metrics["profit"] = profit;
  return sidecar;
}

Sidecar commit(Models& models, Episode episode, double profit, const std::string& run_id) {
  return require(models.writer.commit(small_archive(episode), sidecar_for(episode, profit, run_id)));
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::map<std::string, std::string> snapshot(const std::filesystem::path& root) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string name = entry.path().lexically_relative(root).string();
    if (name == kLockFile) continue;
    const auto status = entry.symlink_status();
    if (std::filesystem::is_directory(status)) {
      out[name + "/"] = "";
    } else {
      out[name] = std::filesystem::is_regular_file(status) ? read_text(entry.path()) : "(special)";
    }
  }
  return out;
}

std::set<std::string> names_below(const std::filesystem::path& root) {
  std::set<std::string> names;
  for (const auto& [name, content] : snapshot(root)) names.insert(name);
  return names;
}

}  // namespace ts::checkpoint
