#include "common/config/yaml_tree.h"

#include <algorithm>
#include <array>
#include <exception>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "common/base/text.h"

namespace ts::config {
namespace {

// The deepest value of our schema is an item of a list in a section: four levels. yaml-cpp recurses once for each
// level, after it has told us of it; that is where a deeply nested file is stopped, long before the stack is.
constexpr std::size_t kMostLevels = 8;
constexpr std::size_t kMostNodes = 20'000;
constexpr std::size_t kMostMarks = 50'000;

// Thrown through yaml-cpp when going on is pointless; the problem has been added by then.
struct Stop {};

// The file's text with the beginning of each line, to find again what a place points at.
class SourceText {
 public:
  explicit SourceText(std::string_view text) : text_(text) {
    line_begins_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') line_begins_.push_back(i + 1);
    }
  }

  // What stands at `place` and after it; empty past the end.
  std::string_view from(Place place) const {
    if (place.line < 1 || static_cast<std::size_t>(place.line) > line_begins_.size()) return {};
    const std::size_t offset =
        line_begins_[static_cast<std::size_t>(place.line - 1)] + static_cast<std::size_t>(place.column - 1);
    return offset < text_.size() ? text_.substr(offset) : std::string_view{};
  }

  Place place_of(std::size_t offset) const {
    const auto next = std::upper_bound(line_begins_.begin(), line_begins_.end(), offset);
    return {static_cast<int>(next - line_begins_.begin()), static_cast<int>(offset - *std::prev(next)) + 1};
  }

 private:
  std::string_view text_;
  std::vector<std::size_t> line_begins_;
};

Place place_of(const YAML::Mark& mark) {
  return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

// Whether the quote that `text` begins with is closed. yaml-cpp lets the end of the file close it, which would turn the
// rest of a configuration into one long value without a word.
bool quote_is_closed(std::string_view text) {
  const char mark = text.front();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (mark == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == mark) {
      if (mark == '"' || i + 1 == text.size() || text[i + 1] != mark) return true;
      ++i;  // '' inside single quotes is a quote
    }
  }
  return false;
}

// Builds the tree from yaml-cpp's events. Its own node type would do, but it builds that by recursion, expands aliases,
// forgets which texts were quoted and asserts on some inputs.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const SourceText& source, Problems& problems) : source_(source), problems_(problems) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    problems_.add(place_of(mark),
                  "there is something behind the end of the configuration, such as a second document; "
                  "a configuration is one document");
    throw Stop{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    const Place place = place_of(mark);
    finish({refuse_tag(place) ? Node::Kind::unusable : Node::Kind::nothing, place, {}, false, {}, {}});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.add(place_of(mark), "aliases (*name) are not supported; write the value out");
    finish({Node::Kind::unusable, place_of(mark), {}, false, {}, {}});
  }

  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    problems_.add(place_of(mark), "anchors (&name) are not supported; remove it");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    const Place place = place_of(mark);
    if (refuse_tag(place)) return finish({Node::Kind::unusable, place, {}, false, {}, {}});
    const std::string_view source = source_.from(place);
    if (!source.empty() && (source.front() == '"' || source.front() == '\'') && !quote_is_closed(source)) {
      problems_.add(place, "this quote is never closed");
      throw Stop{};
    }
    finish({Node::Kind::text, place, value, tag == "!", {}, {}});  // "!" is yaml-cpp's word for not plain
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(Node::Kind::list, place_of(mark));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(Node::Kind::map, place_of(mark));
  }
  void OnMapEnd() override { close(); }

 private:
  // Whether there is a tag at the place, which would have yaml-cpp's idea of a type override ours.
  bool refuse_tag(Place place) {
    const bool tagged = source_.from(place).starts_with('!');
    if (tagged) problems_.add(place, "tags (!name) are not supported; put the value in quotes if it begins with \"!\"");
    return tagged;
  }

  void open(Node::Kind kind, Place place) {
    refuse_tag(place);
    if (open_.size() == kMostLevels) {
      problems_.add(place, "this is nested too deeply for a configuration");
      throw Stop{};
    }
    open_.push_back({kind, place, {}, false, {}, {}});
  }

  void close() {
    Node node = std::move(open_.back());
    open_.pop_back();
    finish(std::move(node));
  }

  // A finished node becomes the next key or value of the map, or the next item of the list, that is open.
  void finish(Node node) {
    if (++nodes_ > kMostNodes) {
      problems_.add(node.place, "there are more values than any configuration has");
      throw Stop{};
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Node& parent = open_.back();
    if (parent.kind != Node::Kind::map || parent.keys.size() > parent.items.size()) {
      parent.items.push_back(std::move(node));
      return;
    }
    if (node.kind != Node::Kind::text && node.kind != Node::Kind::unusable) {
      problems_.add(node.place, "a key is missing here, or it is not a plain name");
      node.kind = Node::Kind::unusable;
    }
    parent.keys.push_back(std::move(node));
  }

  const SourceText& source_;
  Problems& problems_;
  Node root_;
  std::vector<Node> open_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

// yaml-cpp names the rule of the grammar that was broken; this is what mostly broke it.
std::string syntax_sentence(const std::string& message, std::string_view line) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kHints = {{
      {"illegal map value", "look at the indentation and the colon of this line and of the one before"},
      {"end of map not found", "look at the indentation of this line and of the one before"},
      {"end of sequence not found", "look at the indentation of this line and of the one before"},
      {"end of map flow not found", "a \"}\" or a comma is missing"},
      {"end of sequence flow not found", "a \"]\" or a comma is missing"},
      {"illegal tab when looking for indentation", "indent with spaces"},
      {"illegal EOF in scalar", "a quote before this is never closed"},
      {"unknown token", "put the value in quotes"},
      {"the referenced anchor is not defined",
       "aliases (*name) are not supported; put the value in quotes if it is text"},
  }};
  std::string sentence = "this is not valid YAML: " + escape_control(message);
  // A tab is no indentation to yaml-cpp, so its complaint is about whatever comes later.
  if (line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos) {
    return sentence + "; indent with spaces, not with tabs";
  }
  for (const auto& [known, hint] : kHints) {
    if (message == known) sentence += "; " + std::string(hint);
  }
  return sentence;
}

// Everything that can be said without parsing. Only well-formed, printable UTF-8 is let through: yaml-cpp takes a NUL
// or an EOT byte for the end of the file and would silently drop what follows.
bool check_text(std::string_view text, const SourceText& source, Problems& problems) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find_first_of("\t\r\n", begin), text.size());
    const std::string_view run = text.substr(begin, end - begin);
    const std::string escaped = escape_control(run);
    std::size_t bad = text.size();
    if (escaped != run) {
      // Whatever had to be escaped is itself no backslash, so the first difference is the first bad byte.
      bad =
          begin + static_cast<std::size_t>(std::mismatch(run.begin(), run.end(), escaped.begin()).first - run.begin());
    } else if (text.substr(end).starts_with('\r') && !text.substr(end).starts_with("\r\n")) {
      bad = end;
    }
    if (bad < text.size()) {
      problems.add(source.place_of(bad), "the byte " + escape_control(text.substr(bad, 1)) +
                                             " is not text; a configuration is UTF-8 without control characters");
      return false;
    }
    begin = end + 1;
  }
  return true;
}

// Within brackets yaml-cpp reads on to the end, keeping every token at some two hundred bytes each, before it tells us
// of the first one. Tokens begin or end with one of these marks, so counting them first bounds the memory: a megabyte
// of "[" took 250.
bool check_amount(std::string_view text, Problems& problems) {
  std::size_t marks = 0;
  bool in_comment_line = false;
  bool only_blanks = true;
  for (const char c : text) {
    if (c == '\n') {
      in_comment_line = false;
      only_blanks = true;
    } else if (only_blanks && c == '#') {
      in_comment_line = true;
    } else if (!in_comment_line && std::string_view("[]{},:?-&*!|>'\"").find(c) != std::string_view::npos) {
      ++marks;
    }
    only_blanks = only_blanks && (c == ' ' || c == '\n');
  }
  if (marks <= kMostMarks) return true;
  problems.add({}, "the file has more brackets, commas and colons than any configuration");
  return false;
}

// A directive can only stand before anything else; without a document after it yaml-cpp sees an empty file.
bool check_directives(std::string_view text, const SourceText& source, Problems& problems) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t content = std::min(text.find_first_not_of(" \t\r", begin), text.size());
    if (content < text.size() && text[content] != '#' && text[content] != '\n') break;
    begin = std::min(text.find('\n', content), text.size() - 1) + 1;
  }
  if (begin >= text.size() || text[begin] != '%') return true;
  problems.add(source.place_of(begin), "directives (%name) are not supported; remove this line");
  return false;
}

}  // namespace

std::optional<Node> parse_yaml(std::string_view text, Problems& problems) {
  if (text.size() > kMostBytes) {
    problems.add({}, "the file has more than " + human_bytes(kMostBytes) + ", which no configuration needs");
    return std::nullopt;
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark takes no column
  const SourceText source(text);
  if (!check_text(text, source, problems) || !check_amount(text, problems) ||
      !check_directives(text, source, problems)) {
    return std::nullopt;
  }

  TreeBuilder builder(source, problems);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    // Two calls and no loop: behind some inputs yaml-cpp finds empty documents for ever.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
    return builder.take();
  } catch (const Stop&) {
  } catch (const YAML::Exception& error) {
    problems.add(place_of(error.mark), syntax_sentence(error.msg, source.from({error.mark.line + 1, 1})));
  } catch (const std::exception& error) {
    problems.add({}, "the file cannot be parsed: " + escape_control(error.what()));
  }
  return std::nullopt;
}

}  // namespace ts::config
