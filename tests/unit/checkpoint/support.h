// What the checkpoint tests share: a models directory of their own, small checkpoints to put into it, looks at its
// files. Threading: single-threaded. Errors: a fixture that cannot be set up throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/checkpoint/directory.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"

namespace ts::checkpoint {

inline constexpr const char* kRun = "run-1";

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// An open models directory with its lock and its writer. `recover` is the caller's to call.
struct Models {
  explicit Models(const std::filesystem::path& path, FileSystem& fs = posix_file_system());

  Directory directory;
  Store store;
  StoreWriter writer;
};

// A whole archive that is told from others by `variant`.
std::vector<std::byte> small_archive(std::int64_t variant);

Sidecar sidecar_for(Episode episode, double profit, const std::string& run_id = kRun);

// Commits small_archive(episode) with that profit; the test ends there when that fails.
Sidecar commit(Models& models, Episode episode, double profit = 0.0, const std::string& run_id = kRun);

std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, std::string_view text);

// Everything below `root`: relative path to content, directories with a '/' at their end. The lock file is left out.
std::map<std::string, std::string> snapshot(const std::filesystem::path& root);

// The paths of a snapshot.
std::set<std::string> names_below(const std::filesystem::path& root);

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace ts::checkpoint
