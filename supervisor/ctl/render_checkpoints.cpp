// The documents of the `checkpoints` verbs as text.
#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include <boost/json/array.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/ctl/columns.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;
using Rows = std::vector<std::vector<std::string>>;

// Six digits, which is what a person compares.
std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

std::string value_text(const json::value& value) {
  if (value.is_null()) return "-";
  if (value.is_double()) return short_number(value.get_double());
  if (value.is_string()) return escape_control(value.get_string());
  return escape_control(compact_json(value));
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* member = object.if_contains(key);
  return member == nullptr ? "-" : value_text(*member);
}

// "profit 1.2, sharpe 0.3"
std::string members_line(const json::object& object) {
  std::string line;
  for (const auto& member : object) {
    if (!line.empty()) line += ", ";
    line += escape_control(member.key()) + " " + value_text(member.value());
  }
  return line.empty() ? "none" : line;
}

const json::object& object_or_empty(const json::object& from, std::string_view key) {
  static const json::object empty;
  const json::object* found = object_member(from, key);
  return found == nullptr ? empty : *found;
}

const json::array& array_or_empty(const json::object& from, std::string_view key) {
  static const json::array empty;
  const json::value* found = from.if_contains(key);
  return found == nullptr || !found->is_array() ? empty : found->get_array();
}

// "float32 [32, 23]"
std::string layout_text(const json::object& layout) {
  const json::array& shape = array_or_empty(layout, "shape");
  if (shape.empty()) return text_of(layout, "dtype") + " number";
  std::vector<std::string> sizes;
  for (const json::value& size : shape) sizes.push_back(value_text(size));
  return text_of(layout, "dtype") + " [" + join(sizes, ", ") + "]";
}

std::string bytes_text(const json::object& checkpoint) {
  const auto bytes = integer_member(checkpoint, "bytes").value_or(0);
  return human_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)));
}

std::string percent(double share) {
  return short_number(100.0 * share) + "%";
}

// The tensors whose elements differ, then those that have no counterpart to compare with.
std::string differences_text(const json::array& differences, const std::string& a, const std::string& b) {
  Rows rows = {{"TENSOR", "TYPE", "DIFFERING", "LARGEST", "MEAN", "RELATIVE"}};
  std::string others;
  for (const json::value& item : differences) {
    const json::object* difference = item.if_object();
    if (difference == nullptr) continue;
    const std::string name = text_of(*difference, "name");
    const std::string kind = string_member(*difference, "kind").value_or("");
    const std::string layout_a = layout_text(object_or_empty(*difference, "a"));
    const std::string layout_b = layout_text(object_or_empty(*difference, "b"));
    if (kind == "layout") others += name + ": " + layout_a + " in " + a + ", " + layout_b + " in " + b + "\n";
    if (kind == "only_in_a") others += name + ": only in " + a + " (" + layout_a + ")\n";
    if (kind == "only_in_b") others += name + ": only in " + b + " (" + layout_b + ")\n";
    if (kind != "values") continue;
    const auto relative = number_member(*difference, "relative");
    rows.push_back({name, layout_a, text_of(*difference, "differing") + " of " + text_of(*difference, "elements"),
                    short_number(number_member(*difference, "max_abs").value_or(0)),
                    short_number(number_member(*difference, "mean_abs").value_or(0)),
                    relative ? percent(*relative) : "-"});
    const auto unmeasured = integer_member(*difference, "unmeasured").value_or(0);
    if (unmeasured > 0) rows.back().push_back(std::to_string(unmeasured) + " of them NaN or infinite");
  }
  return (rows.size() > 1 ? table(rows) : "") + others;
}

void add_side_by_side(const json::object& document, std::string_view section, const std::string& prefix, Rows& rows) {
  for (const auto& member : object_or_empty(document, section)) {
    const json::object* pair = member.value().if_object();
    if (pair == nullptr) continue;
    std::vector<std::string> row = {prefix + escape_control(member.key()), text_of(*pair, "a"), text_of(*pair, "b")};
    // The sidecar itself and its metrics may both say epsilon.
    if (std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(std::move(row));
  }
}

}  // namespace

std::string render_checkpoints(const std::vector<CheckpointRow>& rows, const std::string& metric) {
  std::string out = padded("NAME", 10) + padded("EPISODE", 9) + padded("SAVED", 26) + padded("SIZE", 12) +
                    padded(escape_control(metric), 12) + "WHY\n";
  for (const CheckpointRow& row : rows) {
    out += padded(row.name, 10);
    if (!row.problem.empty()) {
      out += (row.pinned ? "pinned, but not usable: " : "not usable: ") + row.problem + "\n";
      continue;
    }
    const auto value = number_member(row.sidecar.metrics, metric);
    out += padded(std::to_string(row.sidecar.episode), 9) + padded(escape_control(row.sidecar.created), 26) +
           padded(human_bytes(row.sidecar.bytes), 12) + padded(value ? format_fixed(*value, 3) : "-", 12) +
           std::string(checkpoint::to_string(row.sidecar.reason)) + (row.pinned ? ", pinned" : "") + "\n";
  }
  return out;
}

std::string render_checkpoint(const json::object& document) {
  std::string out = text_of(document, "path") + ": valid\n";
  Rows rows;
  const auto row = [&](const std::string& name, const std::string& text) { rows.push_back({"  " + name, text}); };
  if (const auto* sidecar = object_member(document, "sidecar")) {
    row("episode", text_of(*sidecar, "episode") + " of " + text_of(*sidecar, "total_episodes"));
    row("saved", text_of(*sidecar, "created") + " (" + text_of(*sidecar, "reason") + ")");
    row("run", text_of(*sidecar, "run_id") + ", attempt " + text_of(*sidecar, "attempt"));
    row("metrics", members_line(object_or_empty(*sidecar, "metrics")));
    row("epsilon", text_of(*sidecar, "epsilon"));
    row("best", members_line(object_or_empty(*sidecar, "best")));
    row("config", members_line(object_or_empty(*sidecar, "config")));
    row("exactness", members_line(object_or_empty(*sidecar, "exactness")));
  } else {
    row("origin", "of another program: it has no sidecar of ours");
  }
  row("size", bytes_text(document));
  row("digest", text_of(document, "digest"));
  row("pinned", bool_member(document, "pinned").value_or(false) ? "yes, pruning leaves it alone" : "no");
  const json::array& tensors = array_or_empty(document, "tensors");
  if (const auto why = string_member(document, "unread")) {
    row("content", "another program's affair, and not looked into: " + *why);
  } else {
    row("tensors", std::to_string(tensors.size()));
  }
  out += table(rows);
  Rows names;
  for (const json::value& item : tensors) {
    const json::object* tensor = item.if_object();
    if (tensor != nullptr) names.push_back({"    " + text_of(*tensor, "name"), layout_text(*tensor)});
  }
  return out + table(names);
}

std::string render_verification(const json::object& document) {
  std::string out;
  for (const json::value& item : array_or_empty(document, "checkpoints")) {
    const json::object* finding = item.if_object();
    if (finding == nullptr) continue;
    const bool valid = bool_member(*finding, "valid").value_or(false);
    out += text_of(*finding, "name") + ": " + (valid ? "valid" : "NOT valid: " + text_of(*finding, "problem")) + "\n";
  }
  return out;
}

std::string render_release(const json::object& document) {
  const std::string name = text_of(document, "name");
  const std::string why = string_member(document, "why").value_or("");
  return name + " is back: " + text_of(document, "path") +
         (bool_member(document, "pinned").value_or(false) ? ", pinned as before" : "") + "\n" +
         (why.empty() ? "Nobody wrote down why it had been set aside.\n"
                      : "It had been set aside because: " + why + "\n") +
         "To go on from it: supervisorctl restart --from " + name + "\n";
}

std::string render_difference(const json::object& document) {
  const json::object& side_a = object_or_empty(document, "a");
  const json::object& side_b = object_or_empty(document, "b");
  const std::string a = text_of(side_a, "selector");
  const std::string b = text_of(side_b, "selector");
  const std::string tensors = text_of(document, "tensors");
  const json::array& differences = array_or_empty(document, "differences");
  const bool identical = bool_member(document, "identical").value_or(false);
  std::string out = identical ? "identical: all " + tensors + " tensors are equal to the bit\n"
                              : "different: " + std::to_string(differences.size()) + " of " + tensors + " tensors\n";
  if (const auto why = string_member(document, "unread")) {
    out = std::string(identical ? "identical, byte by byte" : "different") +
          "; what they hold cannot be compared: " + *why + "\n";
  }
  const std::string listed = differences_text(differences, a, b);
  if (!listed.empty()) out += "\n" + listed;

  Rows rows = {{"", a, b}};
  rows.push_back({"file", text_of(side_a, "path"), text_of(side_b, "path")});
  add_side_by_side(document, "facts", "", rows);
  add_side_by_side(document, "metrics", "", rows);
  add_side_by_side(document, "config", "config ", rows);
  add_side_by_side(document, "exactness", "exactness ", rows);
  out += "\n" + table(rows);
  if (object_or_empty(document, "config").empty()) out += "config: the same\n";
  if (object_or_empty(document, "exactness").empty()) out += "exactness: the same\n";
  return out;
}

}  // namespace ts::ctl
