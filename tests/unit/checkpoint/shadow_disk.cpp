#include "tests/unit/checkpoint/shadow_disk.h"

#include <fcntl.h>

#include <fstream>
#include <iterator>

namespace ts::checkpoint {
namespace {

constexpr std::size_t kAllSubsetsMax = 5;

std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Which outcomes of `count` unsynced operations are looked at: none of them comes first.
std::vector<std::vector<bool>> outcomes(std::size_t count) {
  std::vector<std::vector<bool>> out;
  if (count <= kAllSubsetsMax) {
    for (std::size_t mask = 0; mask < (std::size_t{1} << count); ++mask) {
      std::vector<bool> applied(count);
      for (std::size_t i = 0; i < count; ++i) applied[i] = ((mask >> i) & 1) != 0;
      out.push_back(std::move(applied));
    }
    return out;
  }
  for (std::size_t prefix = 0; prefix <= count; ++prefix) {
    std::vector<bool> applied(count);
    for (std::size_t i = 0; i < prefix; ++i) applied[i] = true;
    out.push_back(std::move(applied));
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<bool> all_but_one(count, true);
    all_but_one[i] = false;
    out.push_back(std::move(all_but_one));
    std::vector<bool> only_one(count);
    only_one[i] = true;
    out.push_back(std::move(only_one));
  }
  return out;
}

}  // namespace

void write_image(const DiskImage& image, const std::filesystem::path& root) {
  std::filesystem::create_directories(root);
  for (const auto& [path, content] : image) {
    if (path.ends_with('/')) {
      std::filesystem::create_directories(root / path);
    } else {
      std::ofstream(root / path, std::ios::binary) << content;
    }
  }
}

ShadowDisk::ShadowDisk(const std::filesystem::path& root, FileSystem& behind, Lies lies)
    : root_path_(root), behind_(behind), lies_(lies) {
  root_->directory = true;
  import_directory(root, *root_);
}

void ShadowDisk::import_directory(const std::filesystem::path& path, Node& node) {
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    auto child = std::make_shared<Node>();
    child->directory = entry.is_directory();
    if (child->directory) {
      import_directory(entry.path(), *child);
    } else {
      child->content = child->synced_content = read_whole(entry.path());
    }
    node.entries[entry.path().filename().string()] = child;
  }
  node.synced_entries = node.entries;
}

ShadowDisk::NodePtr ShadowDisk::node_of(int fd) const {
  const auto found = nodes_.find(fd);
  return found == nodes_.end() ? nullptr : found->second;
}

void ShadowDisk::perform(Operation operation) {
  if (operation.from) operation.from->entries.erase(operation.from_name);
  if (operation.to) operation.to->entries[operation.to_name] = operation.node;
  pending_.push_back(std::move(operation));
  changed();
}

int ShadowDisk::open(int directory, const std::string& name, int flags, mode_t mode) {
  const int fd = behind_.open(directory, name, flags, mode);
  if (fd < 0) return fd;
  if (directory == AT_FDCWD) {
    nodes_[fd] = std::filesystem::path(name) == root_path_ ? root_ : nullptr;
    return fd;
  }
  const NodePtr parent = node_of(directory);
  nodes_[fd] = nullptr;
  if (!parent) return fd;
  if (name == ".") {
    nodes_[fd] = parent;
  } else if (const auto found = parent->entries.find(name); found != parent->entries.end()) {
    nodes_[fd] = found->second;
  } else {
    const auto made = std::make_shared<Node>();
    nodes_[fd] = made;
    perform({nullptr, {}, parent, name, made});
  }
  return fd;
}

std::int64_t ShadowDisk::write(int fd, const std::byte* data, std::size_t bytes) {
  const std::int64_t count = behind_.write(fd, data, bytes);
  if (const NodePtr node = node_of(fd); node && count > 0) {
    node->content.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(count));
    changed();
  }
  return count;
}

int ShadowDisk::resize(int fd, std::uint64_t bytes) {
  const int result = behind_.resize(fd, bytes);
  if (const NodePtr node = node_of(fd); node && result == 0) {
    node->content.resize(bytes);
    changed();
  }
  return result;
}

int ShadowDisk::fsync(int fd) {
  const int result = behind_.fsync(fd);
  const NodePtr node = node_of(fd);
  if (!node) return result;
  if (!node->directory) {
    if (result < 0) node->sync_failed = true;
    if (!node->sync_failed && !lies_.file_sync) node->synced_content = node->content;
  } else if (result == 0 && !lies_.directory_sync) {
    std::vector<Operation> others;
    for (Operation& operation : pending_) {
      if (operation.from != node && operation.to != node) {
        others.push_back(std::move(operation));
        continue;
      }
      if (operation.from) operation.from->synced_entries.erase(operation.from_name);
      if (operation.to) operation.to->synced_entries[operation.to_name] = operation.node;
    }
    pending_ = std::move(others);
  }
  changed();
  return result;
}

int ShadowDisk::rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  const int result = behind_.rename_new(from_directory, from, to_directory, to);
  const NodePtr source = node_of(from_directory);
  if (result == 0 && source) perform({source, from, node_of(to_directory), to, source->entries[from]});
  return result;
}

int ShadowDisk::rename_over(int directory, const std::string& from, const std::string& to) {
  const int result = behind_.rename_over(directory, from, to);
  const NodePtr parent = node_of(directory);
  if (result != 0 || !parent) return result;
  const NodePtr moved = parent->entries[from];
  // Two names of one file: the system does nothing and calls it a success.
  if (parent->entries.contains(to) && parent->entries[to] == moved) return result;
  perform({parent, from, parent, to, moved});
  return result;
}

int ShadowDisk::link(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  const int result = behind_.link(from_directory, from, to_directory, to);
  const NodePtr source = node_of(from_directory);
  if (result == 0 && source) perform({nullptr, {}, node_of(to_directory), to, source->entries[from]});
  return result;
}

int ShadowDisk::unlink(int directory, const std::string& name) {
  const int result = behind_.unlink(directory, name);
  const NodePtr parent = node_of(directory);
  if (result == 0 && parent) perform({parent, name, nullptr, {}, nullptr});
  return result;
}

int ShadowDisk::make_directory(int directory, const std::string& name, mode_t mode) {
  const int result = behind_.make_directory(directory, name, mode);
  const NodePtr parent = node_of(directory);
  if (result == 0 && parent) {
    const auto made = std::make_shared<Node>();
    made->directory = true;
    perform({nullptr, {}, parent, name, made});
  }
  return result;
}

std::vector<DiskImage> ShadowDisk::images() const {
  std::vector<DiskImage> out;
  for (const std::vector<bool>& applied : outcomes(pending_.size())) out.push_back(image_with(applied));
  return out;
}

DiskImage ShadowDisk::image_with(const std::vector<bool>& applied) const {
  std::map<const Node*, Entries> touched;
  const auto entries_of = [&](const NodePtr& node) -> Entries& {
    return touched.try_emplace(node.get(), node->synced_entries).first->second;
  };
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (!applied[i]) continue;
    if (pending_[i].from) entries_of(pending_[i].from).erase(pending_[i].from_name);
    if (pending_[i].to) entries_of(pending_[i].to)[pending_[i].to_name] = pending_[i].node;
  }
  DiskImage image;
  const std::function<void(const Node&, const std::string&)> walk = [&](const Node& node, const std::string& prefix) {
    const auto found = touched.find(&node);
    for (const auto& [name, child] : found == touched.end() ? node.synced_entries : found->second) {
      if (child->directory) {
        image[prefix + name + "/"] = "";
        walk(*child, prefix + name + "/");
      } else {
        image[prefix + name] = child->synced_content;
      }
    }
  };
  walk(*root_, "");
  return image;
}

}  // namespace ts::checkpoint
