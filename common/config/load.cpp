#include "common/config/load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <optional>
#include <span>
#include <system_error>

#include "common/base/text.h"
#include "common/config/checks.h"
#include "common/config/problems.h"
#include "common/config/schema.h"
#include "common/config/yaml_tree.h"

namespace ts::config {
namespace {

const Key* find_key(std::string_view section, std::string_view name) {
  const auto& keys = schema();
  const auto found = std::find_if(keys.begin(), keys.end(),
                                  [&](const Key& key) { return key.section == section && key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

// The sections that have a key of this name.
std::string sections_with(std::string_view name) {
  std::vector<std::string> sections;
  for (const Key& key : schema()) {
    if (key.name == name) sections.emplace_back(key.section);
  }
  return join(sections, " or ");
}

// Whether part of the value has been complained about already, so that nothing more need be said.
bool has_unusable(const Node& node) {
  const auto is_unusable = [](const Node& part) { return part.kind == Node::Kind::unusable; };
  return is_unusable(node) || std::any_of(node.keys.begin(), node.keys.end(), is_unusable) ||
         std::any_of(node.items.begin(), node.items.end(), is_unusable);
}

// Walks the tree once, filling a Config and noting what is wrong.
class TreeReader {
 public:
  explicit TreeReader(Problems& problems) : problems_(problems) {}

  // Whether the keys that decide where the control socket is were understood; after read().
  bool knows_socket() const {
    constexpr std::array<std::string_view, 5> kDeciding = {"checkpoints", "checkpoints.directory", "supervisor",
                                                           "supervisor.state_directory", "supervisor.control_socket"};
    return !misspelt_ && std::none_of(kDeciding.begin(), kDeciding.end(),
                                      [&](std::string_view key) { return given_.broken.contains(key); });
  }

  ConfigFile read(const Node& root) {
    if (root.kind == Node::Kind::map) {
      for (std::size_t i = 0; i < std::min(root.keys.size(), root.items.size()); ++i) {
        read_section(root.keys[i], root.items[i]);
      }
    } else if (root.kind != Node::Kind::nothing) {
      misspelt_ = true;
      if (root.kind != Node::Kind::unusable)
        problems_.add(root.place, "a configuration is made of sections with keys, like \"training: {episodes: 300}\"");
    }
    check_relations(config_, given_, problems_);
    return {config_, given_.places};
  }

 private:
  void read_section(const Node& name, const Node& value) {
    if (name.kind != Node::Kind::text) {  // complained about already
      misspelt_ = true;
      return;
    }
    const auto& sections = section_names();
    if (std::find(sections.begin(), sections.end(), name.text) == sections.end()) {
      may_mean(name.text, {"checkpoints", "supervisor", "directory", "state_directory", "control_socket"});
      return problems_.add(name.place, unknown_section(name.text));
    }
    if (is_repeated(name, name.text, "section " + quote(name.text))) return;
    if (value.kind == Node::Kind::map) {
      for (std::size_t i = 0; i < std::min(value.keys.size(), value.items.size()); ++i) {
        read_key(name.text, value.keys[i], value.items[i]);
      }
    } else if (value.kind != Node::Kind::nothing) {  // a section whose every key is commented out is all defaults
      given_.broken.insert(name.text);
      if (value.kind == Node::Kind::unusable) return;
      problems_.add(value.place, "section " + quote(name.text) + " must be a map of keys, like \"" + name.text + ": {" +
                                     example_key(name.text) + ": ...}\"");
    }
  }

  void read_key(const std::string& section, const Node& name, const Node& value) {
    if (name.kind != Node::Kind::text) {  // complained about already
      misspelt_ = true;
      return;
    }
    const Key* const key = find_key(section, name.text);
    if (key == nullptr) {
      may_mean(name.text, {"directory", "state_directory", "control_socket"});
      return problems_.add(name.place, unknown_key(section, name.text));
    }
    const std::string full_name = key->full_name();
    if (is_repeated(name, full_name, full_name)) return;
    if (has_unusable(value)) {
      given_.broken.insert(full_name);
    } else if (value.kind == Node::Kind::nothing) {
      given_.broken.insert(full_name);
      problems_.add(name.place, full_name + " has no value; give it one, or remove the line to keep the default");
    } else if (const auto refusal = key->set(value, config_)) {
      given_.broken.insert(full_name);
      problems_.add(refusal->place, full_name + " " + refusal->sentence);
    }
  }

  // The first one counts, and which one was meant is not ours to guess.
  bool is_repeated(const Node& name, const std::string& full_name, const std::string& called) {
    const auto [first, is_new] = given_.places.emplace(full_name, name.place);
    if (is_new) return false;
    may_mean(name.text, {"checkpoints", "supervisor", "directory", "state_directory", "control_socket"});
    problems_.add(name.place,
                  called + " is given twice, first on line " + std::to_string(first->second.line) + "; keep one");
    return true;
  }

  void may_mean(std::string_view name, std::initializer_list<std::string_view> deciding) {
    if (nearest_name(name, std::span(deciding.begin(), deciding.size()))) misspelt_ = true;
  }

  static std::string unknown_section(const std::string& name) {
    const std::string sentence = "unknown section " + quote(name);
    if (const std::string owners = sections_with(name); !owners.empty()) {
      return sentence + "; it is a key of " + owners + " and belongs there";
    }
    return sentence + suggestion(name, section_names(), "the sections are");
  }

  static std::string unknown_key(const std::string& section, const std::string& name) {
    const std::string sentence = "unknown key " + quote(name) + " in " + section;
    if (const std::string owners = sections_with(name); !owners.empty()) return sentence + "; it belongs in " + owners;
    std::vector<std::string_view> names;
    for (const Key& key : schema()) {
      if (key.section == section) names.push_back(key.name);
    }
    return sentence + suggestion(name, names, "the keys of " + section + " are");
  }

  static std::string example_key(std::string_view section) {
    for (const Key& key : schema()) {
      if (key.section == section) return std::string(key.name);
    }
    return {};
  }

  Problems& problems_;
  Config config_;
  Given given_;
  bool misspelt_ = false;  // what may have been meant to decide the socket
};

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }

 private:
  int fd_;
};

Error cannot_read(const std::filesystem::path& path, int error) {
  std::string sentence = "cannot read the configuration \"" + escape_control(path.string()) + "\": ";
  if (error == ENOENT || error == ENOTDIR) {
    std::error_code ignored;
    const std::filesystem::path here = std::filesystem::current_path(ignored);
    sentence += "there is no such file";
    if (path.is_relative() && !here.empty()) sentence += " (seen from \"" + escape_control(here.string()) + "\")";
    sentence += "; name an existing one with --config FILE, or create it: an empty file means all defaults";
  } else {
    sentence += std::generic_category().message(error);
  }
  return make_error(ErrorKind::configuration, std::move(sentence));
}

// At most one byte more than a configuration may have, which is enough to see that it has too many.
Result<std::string> read_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO nobody writes to would wait for ever, and a reload with it.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return cannot_read(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorKind::configuration, "cannot read the configuration \"" + escape_control(path.string()) +
                                                    "\": it is not a regular file");
  }
  std::string text(kMostBytes + 1, '\0');
  std::size_t length = 0;
  while (length < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(path, errno);
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  text.resize(length);
  return text;
}

}  // namespace

Result<ConfigFile> load_config_file(const std::filesystem::path& path) {
  const Result<std::string> text = read_file(path);
  if (!text) return text.error();
  return parse_config(*text, path.string());
}

Result<Config> load_config(const std::filesystem::path& path) {
  auto file = load_config_file(path);
  if (!file) return file.error();
  return std::move(file->config);
}

Result<ConfigFile> parse_config(std::string_view yaml, std::string_view file_name) {
  Problems problems;
  ConfigFile file;
  if (const auto root = parse_yaml(yaml, problems)) file = TreeReader(problems).read(*root);
  if (!problems.empty()) return make_error(ErrorKind::configuration, problems.report(file_name));
  return file;
}

std::optional<std::filesystem::path> control_socket_in(const std::filesystem::path& path) {
  const Result<std::string> text = read_file(path);
  if (!text) return std::nullopt;
  Problems problems;
  const auto root = parse_yaml(*text, problems);
  if (!root) return std::nullopt;
  TreeReader reader(problems);
  const ConfigFile file = reader.read(*root);
  if (!reader.knows_socket()) return std::nullopt;
  return resolved_control_socket(file.config);
}

std::vector<KeyDescription> known_keys() {
  std::vector<KeyDescription> keys;
  for (const Key& key : schema()) keys.push_back({std::string(key.section), std::string(key.name), key.expects});
  return keys;
}

}  // namespace ts::config
