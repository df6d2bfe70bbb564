// What is wrong with a configuration file: all of it, with places, as sentences for a person.
//
// Ownership and threading: plain values, one Problems for each file read. Errors: none.
// Units: lines and columns count from 1; columns count bytes, as compilers do.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ts::config {

// Where in the file. Line 0 means the file as a whole.
struct Place {
  int line = 0;
  int column = 0;

  auto operator<=>(const Place&) const = default;
};

class Problems {
 public:
  // A person mends a file from the top and reads it again; more than this at once is a wall of text.
  static constexpr std::size_t kMostReported = 20;

  void add(Place place, std::string sentence) { all_.push_back({place, std::move(sentence)}); }
  bool empty() const { return all_.empty(); }

  // One line each, "file:line:column: sentence", in the order of the file; then how many more there are.
  std::string report(std::string_view file_name) const;

 private:
  struct Problem {
    Place place;
    std::string sentence;

    bool operator==(const Problem&) const = default;
  };
  std::vector<Problem> all_;
};

// `text` in quotes, on one line, shortened when it is long: what the file says is not trusted to be printable.
std::string quote(std::string_view text);

// `; did you mean "save_frequency"?`, or, when no candidate is near, `; <the_known_ones> a, b, c`.
std::string suggestion(std::string_view word, std::span<const std::string_view> candidates,
                       std::string_view the_known_ones);

}  // namespace ts::config
