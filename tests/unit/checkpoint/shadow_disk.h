// What a power cut would leave of a directory: a model of the disk behind a real one.
//
// Every call goes on to the file system behind; beside it the model keeps what has been synced. A file has the content
// of its last sync, none if it had none. A name made, moved or removed since its directory's last sync may be there or
// not: images() gives every such outcome (every subset of the unsynced operations, as in the ALICE model; only prefixes
// and single losses where there are too many). A sync that failed drops what it was to write, and a later one on the
// same file brings nothing back, as ext4, XFS and btrfs behave.
//
// Ownership: refers to the file system behind it. Threading: one thread.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/checkpoint/file_system.h"

namespace ts::checkpoint {

// Relative path to content; directories end in '/' and have none.
using DiskImage = std::map<std::string, std::string>;

void write_image(const DiskImage& image, const std::filesystem::path& root);

class ShadowDisk final : public FileSystem {
 public:
  // For negative controls: a disk that says it synced, and did not.
  struct Lies {
    bool directory_sync = false;
    bool file_sync = false;
  };

  // What lies in `root` now is taken as synced.
  ShadowDisk(const std::filesystem::path& root, FileSystem& behind, Lies lies);
  ShadowDisk(const std::filesystem::path& root, FileSystem& behind) : ShadowDisk(root, behind, Lies{}) {}

  // What a power cut at this moment may leave; the first one is what was synced and nothing else.
  std::vector<DiskImage> images() const;

  // Called after every call that changed something, and before it returns.
  std::function<void()> after_change;

  int open(int directory, const std::string& name, int flags, mode_t mode) override;
  int close(int fd) override { return behind_.close(fd); }
  std::int64_t write(int fd, const std::byte* data, std::size_t bytes) override;
  std::int64_t read(int fd, std::byte* data, std::size_t bytes) override { return behind_.read(fd, data, bytes); }
  int fsync(int fd) override;
  int reserve(int fd, std::uint64_t bytes) override { return behind_.reserve(fd, bytes); }
  int resize(int fd, std::uint64_t bytes) override;
  std::int64_t size(int fd) override { return behind_.size(fd); }
  std::int64_t free_bytes(int directory) override { return behind_.free_bytes(directory); }
  int rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  int rename_over(int directory, const std::string& from, const std::string& to) override;
  int link(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  int unlink(int directory, const std::string& name) override;
  int make_directory(int directory, const std::string& name, mode_t mode) override;

 private:
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  using Entries = std::map<std::string, NodePtr>;
  struct Node {
    bool directory = false;
    Entries entries;         // as the living system sees them
    Entries synced_entries;  // as a power cut would leave them at the least
    std::string content;
    std::string synced_content;
    bool sync_failed = false;
  };
  // Takes a name away, gives a name, or both at once (a rename is atomic, across directories too).
  struct Operation {
    NodePtr from;
    std::string from_name;
    NodePtr to;
    std::string to_name;
    NodePtr node;
  };

  void import_directory(const std::filesystem::path& path, Node& node);
  NodePtr node_of(int fd) const;
  void perform(Operation operation);
  void changed() const {
    if (after_change) after_change();
  }
  DiskImage image_with(const std::vector<bool>& applied) const;

  std::filesystem::path root_path_;
  FileSystem& behind_;
  Lies lies_;
  NodePtr root_ = std::make_shared<Node>();
  std::map<int, NodePtr> nodes_;    // by descriptor; stale ones are overwritten when the number is used again
  std::vector<Operation> pending_;  // not synced, oldest first
};

}  // namespace ts::checkpoint
