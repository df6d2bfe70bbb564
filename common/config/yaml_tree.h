// A YAML file as a small tree with places: the only header between us and yaml-cpp, and it shows nothing of it.
//
// What a configuration needs of YAML and nothing more: one document of maps, lists and texts. Anchors, aliases, tags,
// directives and non-text keys are refused, as are files that are too big, too deep or not UTF-8 text, so that no file,
// however hostile, costs more than a bounded amount of memory, stack and time.
//
// Ownership and threading: plain values. Errors: added to a Problems; parsing goes on where it can.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/problems.h"

namespace ts::config {

constexpr std::size_t kMostBytes = 1024 * 1024;  // of a configuration file

struct Node {
  enum class Kind {
    nothing,   // no value, `~` or `null`
    text,      // any scalar; what it means is the reader's business
    list,      // items
    map,       // keys[i] has the value items[i]; names may repeat
    unusable,  // something that has been complained about already
  };

  Kind kind = Kind::nothing;
  Place place;
  std::string text;
  bool quoted = false;  // the text was written in quotes or as a block, so it is meant as text
  std::vector<Node> keys;
  std::vector<Node> items;
};

// The tree of `text`, a Node of kind nothing when there is no content; no tree when the text could not be read to its
// end. A tree may come together with problems.
std::optional<Node> parse_yaml(std::string_view text, Problems& problems);

}  // namespace ts::config
