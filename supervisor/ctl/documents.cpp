#include "supervisor/ctl/documents.h"

#include <set>
#include <utility>

#include "common/base/json.h"
#include "common/base/text.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;
using checkpoint::Sidecar;
using checkpoint::TensorDifference;

constexpr int kFormat = 1;

// Through our own reader: Boost 1.81 reads some doubles off in the last digit.
json::value sidecar_json(const Sidecar& sidecar) {
  const auto parsed = parse_json(checkpoint::to_json(sidecar), "the sidecar", checkpoint::kSidecarBytesMax);
  return parsed ? *parsed : json::value(nullptr);
}

json::value layout_json(const std::optional<checkpoint::TensorLayout>& layout) {
  if (!layout) return nullptr;
  json::object out;
  out["dtype"] = checkpoint::dtype_name(layout->dtype);
  out["shape"] = json::array(layout->shape.begin(), layout->shape.end());
  return out;
}

json::object checkpoint_json(const ReadCheckpoint& checkpoint) {
  json::object out;
  out["selector"] = escape_control(checkpoint.selector);
  out["path"] = escape_control(checkpoint.path);
  out["bytes"] = static_cast<std::int64_t>(checkpoint.sidecar.bytes);
  out["digest"] = checkpoint.sidecar.digest;
  out["pinned"] = checkpoint.pinned;
  out["sidecar"] = checkpoint.foreign ? json::value(nullptr) : sidecar_json(checkpoint.sidecar);
  return out;
}

std::string_view name_of(TensorDifference::Kind kind) {
  switch (kind) {
    case TensorDifference::Kind::values: return "values";
    case TensorDifference::Kind::layout: return "layout";
    case TensorDifference::Kind::only_in_a: return "only_in_a";
    case TensorDifference::Kind::only_in_b: return "only_in_b";
  }
  return "values";
}

json::object difference_json(const TensorDifference& difference) {
  json::object out;
  out["name"] = escape_control(difference.name);
  out["kind"] = name_of(difference.kind);
  out["a"] = layout_json(difference.a);
  out["b"] = layout_json(difference.b);
  if (difference.kind != TensorDifference::Kind::values) return out;
  const checkpoint::ElementDifference& elements = difference.elements;
  out["elements"] = elements.elements;
  out["differing"] = elements.differing;
  out["unmeasured"] = elements.unmeasured;
  out["max_abs"] = elements.max_abs;
  out["mean_abs"] = elements.mean_abs;
  out["relative"] = elements.relative ? json::value(*elements.relative) : json::value(nullptr);
  return out;
}

// Members of nested objects under "outer.inner".
void flatten(const json::object& object, const std::string& prefix, json::object& out) {
  for (const auto& member : object) {
    const std::string name = prefix + std::string(member.key());
    if (const auto* nested = member.value().if_object()) {
      flatten(*nested, name + ".", out);
    } else {
      out[name] = member.value();
    }
  }
}

enum class Which { all, differing };

// {"name": {"a": …, "b": …}}, null where one side has no such member. 1 and 1.0 are the same number.
json::object side_by_side(const json::object& a, const json::object& b, Which which) {
  json::object flat_a;
  json::object flat_b;
  flatten(a, "", flat_a);
  flatten(b, "", flat_b);
  json::object out;
  const auto add = [&](json::string_view name) {
    const auto* left = flat_a.if_contains(name);
    const auto* right = flat_b.if_contains(name);
    const bool equal = left != nullptr && right != nullptr && *left == *right;
    if (out.contains(name) || (which == Which::differing && equal)) return;
    json::object pair;
    pair["a"] = left != nullptr ? *left : json::value(nullptr);
    pair["b"] = right != nullptr ? *right : json::value(nullptr);
    out[name] = std::move(pair);
  };
  for (const auto& member : flat_a) add(member.key());
  for (const auto& member : flat_b) add(member.key());
  return out;
}

// What stands in a sidecar once, in the order in which a person asks for it.
json::object facts_of(const ReadCheckpoint& checkpoint) {
  json::object out;
  if (checkpoint.foreign) return out;
  const Sidecar& sidecar = checkpoint.sidecar;
  out["episode"] = sidecar.episode;
  out["total_episodes"] = sidecar.total_episodes;
  out["epsilon"] = sidecar.epsilon;
  out["run_id"] = sidecar.run_id;
  out["attempt"] = sidecar.attempt;
  out["created"] = sidecar.created;
  out["reason"] = checkpoint::to_string(sidecar.reason);
  out["best"] = sidecar.best;
  return out;
}

}  // namespace

json::object list_document(const std::string& directory, const std::vector<CheckpointRow>& rows) {
  json::array list;
  for (const CheckpointRow& row : rows) {
    json::object out;
    out["name"] = row.name;
    out["pinned"] = row.pinned;
    out["problem"] = row.problem.empty() ? json::value(nullptr) : json::value(row.problem);
    out["sidecar"] = row.problem.empty() ? sidecar_json(row.sidecar) : json::value(nullptr);
    list.push_back(std::move(out));
  }
  json::object out;
  out["format"] = kFormat;
  out["directory"] = escape_control(directory);
  out["checkpoints"] = std::move(list);
  return out;
}

namespace {

json::object show_document(const ReadCheckpoint& checkpoint, json::value tensors, json::value unread) {
  json::object out;
  out["format"] = kFormat;
  for (auto& member : checkpoint_json(checkpoint)) out[member.key()] = std::move(member.value());
  out["tensors"] = std::move(tensors);
  out["unread"] = std::move(unread);
  return out;
}

json::object diff_document(const ReadCheckpoint& a, const ReadCheckpoint& b, bool identical, json::value tensors,
                           json::value differences, json::value unread) {
  json::object out;
  out["format"] = kFormat;
  out["identical"] = identical;
  out["a"] = checkpoint_json(a);
  out["b"] = checkpoint_json(b);
  out["tensors"] = std::move(tensors);
  out["differences"] = std::move(differences);
  out["unread"] = std::move(unread);
  out["facts"] = side_by_side(facts_of(a), facts_of(b), Which::all);
  out["metrics"] = side_by_side(a.sidecar.metrics, b.sidecar.metrics, Which::all);
  out["config"] = side_by_side(a.sidecar.config, b.sidecar.config, Which::differing);
  out["exactness"] = side_by_side(a.sidecar.exactness, b.sidecar.exactness, Which::differing);
  return out;
}

}  // namespace

json::object show_document(const ReadCheckpoint& checkpoint, const std::vector<checkpoint::NamedTensor>& tensors) {
  json::array list;
  for (const auto& [name, tensor] : tensors) {
    json::object out;
    out["name"] = escape_control(name);
    out["dtype"] = checkpoint::dtype_name(tensor.dtype);
    out["shape"] = json::array(tensor.shape.begin(), tensor.shape.end());
    list.push_back(std::move(out));
  }
  return show_document(checkpoint, std::move(list), nullptr);
}

json::object show_unread_document(const ReadCheckpoint& checkpoint, const std::string& why) {
  return show_document(checkpoint, nullptr, json::value(why));
}

json::object verify_document(const std::string& directory, const std::vector<Finding>& findings) {
  bool all_valid = true;
  json::array list;
  for (const Finding& finding : findings) {
    json::object out;
    out["name"] = escape_control(finding.name);
    out["valid"] = finding.problem.empty();
    out["problem"] = finding.problem.empty() ? json::value(nullptr) : json::value(finding.problem);
    all_valid = all_valid && finding.problem.empty();
    list.push_back(std::move(out));
  }
  json::object out;
  out["format"] = kFormat;
  out["directory"] = escape_control(directory);
  out["valid"] = all_valid;
  out["checkpoints"] = std::move(list);
  return out;
}

json::object diff_document(const ReadCheckpoint& a, const ReadCheckpoint& b, const checkpoint::Comparison& comparison) {
  json::array differences;
  for (const TensorDifference& difference : comparison.differences) differences.push_back(difference_json(difference));
  return diff_document(a, b, comparison.identical(), comparison.tensors, std::move(differences), nullptr);
}

json::object diff_unread_document(const ReadCheckpoint& a, const ReadCheckpoint& b, const std::string& why) {
  return diff_document(a, b, a.sidecar.digest == b.sidecar.digest, nullptr, nullptr, json::value(why));
}

json::object release_document(const std::string& directory, const checkpoint::Sidecar& sidecar, const std::string& from,
                              const std::string& why, bool pinned) {
  json::object out;
  out["format"] = kFormat;
  out["directory"] = escape_control(directory);
  out["name"] = "ep" + std::to_string(sidecar.episode);
  out["path"] = escape_control(directory + "/" + sidecar.file);
  out["from"] = escape_control(from);
  out["why"] = why.empty() ? json::value(nullptr) : json::value(escape_control(why));
  out["pinned"] = pinned;
  return out;
}

json::object pin_document(const std::string& directory, checkpoint::Episode episode, bool pinned, bool changed) {
  json::object out;
  out["format"] = kFormat;
  out["directory"] = escape_control(directory);
  out["name"] = "ep" + std::to_string(episode);
  out["pinned"] = pinned;
  out["changed"] = changed;
  return out;
}

}  // namespace ts::ctl
