// supervisorctl checkpoints: reads the models directory itself, so it works with no daemon running.
#include <cstdio>
#include <utility>

#include <boost/json/array.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/store.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;
using checkpoint::Directory;
using checkpoint::Store;

Exit complain(const Error& error, Exit status) {
  std::fprintf(stderr, "supervisorctl: %s\n", error.message.c_str());
  return status;
}

CheckpointRow row_of(std::string name, const Result<checkpoint::Sidecar>& sidecar) {
  return sidecar ? CheckpointRow{std::move(name), *sidecar, ""}
                 : CheckpointRow{std::move(name), {}, sidecar.error().message};
}

// Sidecars only: `verify` is the verb that reads every byte.
Result<std::vector<CheckpointRow>> read_rows(const Store& store) {
  const auto listing = store.list();
  if (!listing) return listing.error();
  std::vector<CheckpointRow> rows;
  for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
    rows.push_back(row_of("ep" + std::to_string(at->first), store.read_sidecar(at->first)));
    if (!at->second.archive) rows.back().problem = "its .pt file is missing";
  }
  if (listing->best_archive || listing->best_sidecar) rows.push_back(row_of("best", store.read_best_sidecar()));
  return rows;
}

json::object row_json(const CheckpointRow& row) {
  json::object out;
  out["name"] = row.name;
  out["problem"] = row.problem.empty() ? json::value(nullptr) : json::value(row.problem);
  // Through our own reader: Boost 1.81 reads some doubles off in the last digit.
  const auto sidecar = parse_json(checkpoint::to_json(row.sidecar), row.name, checkpoint::kSidecarBytesMax);
  out["sidecar"] = row.problem.empty() && sidecar ? *sidecar : json::value(nullptr);
  return out;
}

}  // namespace

Exit list_checkpoints(const config::Config& config, bool as_json) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return complain(directory.error(), Exit::failed);
  const auto rows = read_rows(Store(*directory));
  if (!rows) return complain(rows.error(), Exit::failed);
  if (as_json) {
    json::array list;
    for (const CheckpointRow& row : *rows) list.push_back(row_json(row));
    json::object out;
    out["format"] = 1;
    out["directory"] = config.checkpoints.directory.string();
    out["checkpoints"] = std::move(list);
    std::fputs(pretty_json(out).c_str(), stdout);
  } else if (rows->empty()) {
    std::printf("There is no checkpoint in %s/.\n", escape_control(config.checkpoints.directory.string()).c_str());
  } else {
    std::fputs(render_checkpoints(*rows, config.checkpoints.best_metric).c_str(), stdout);
  }
  return Exit::ok;
}

Exit show_checkpoint(const config::Config& config, const std::string& text) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return complain(directory.error(), Exit::failed);
  const auto selector = checkpoint::parse_selector(text);
  if (!selector) return complain(selector.error(), Exit::usage);
  const auto chosen = Store(*directory).select(*selector, "");
  if (!chosen) return complain(chosen.error(), Exit::usage);
  std::fputs(checkpoint::to_json(chosen->sidecar).c_str(), stdout);
  return Exit::ok;
}

Exit verify_checkpoints(const config::Config& config, const std::optional<std::string>& text) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return complain(directory.error(), Exit::failed);
  const Store store(*directory);
  std::vector<std::string> names;
  if (text) {
    names.push_back(*text);
  } else {
    const auto rows = read_rows(store);
    if (!rows) return complain(rows.error(), Exit::failed);
    for (const CheckpointRow& row : *rows) names.push_back(row.name);
  }
  bool all_valid = true;
  bool all_there = true;
  for (const std::string& name : names) {
    const auto selector = checkpoint::parse_selector(name);
    if (!selector) return complain(selector.error(), Exit::usage);
    const auto verified = store.select(*selector, "");
    all_valid = all_valid && verified.has_value();
    all_there = all_there && (verified || verified.error().kind != ErrorKind::not_found);
    std::printf("%s: %s\n", escape_control(name).c_str(),
                verified ? "valid" : ("NOT valid: " + verified.error().message).c_str());
  }
  if (text && !all_there) return Exit::usage;
  return all_valid ? Exit::ok : Exit::failed;
}

}  // namespace ts::ctl
