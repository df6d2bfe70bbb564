// supervisorctl checkpoints: looks at the models directory itself, so it works with no daemon running. Pinning and
// putting back what was set aside is all that it changes there.
#include <cstdio>
#include <utility>

#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/directory_lock.h"
#include "common/checkpoint/pins.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/documents.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;
using checkpoint::Directory;
using checkpoint::Episode;
using checkpoint::Store;
using checkpoint::Verified;

Exit complain(const Error& error, Exit status) {
  return ctl::complain(error.message, status);
}

// For a selector that names nothing usable.
Exit refuse(const Error& error, const Store& store) {
  return ctl::complain(error.message + " (" + store.list_usable() + ")", Exit::usage);
}

void say(const json::object& document, bool as_json, const std::string& text) {
  std::fputs(as_json ? pretty_json(document).c_str() : text.c_str(), stdout);
}

template <class Command>
Exit with_store(const config::Config& config, Store::Contents contents, Command&& command) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return complain(no_models(config.checkpoints.directory, directory.error()), Exit::failed);
  return command(Store(*directory, contents));
}

CheckpointRow row_of(std::string name, const Result<checkpoint::Sidecar>& sidecar, bool pinned) {
  return sidecar ? CheckpointRow{std::move(name), *sidecar, "", pinned}
                 : CheckpointRow{std::move(name), {}, sidecar.error().message, pinned};
}

// Sidecars only: `verify` is the verb that reads every byte.
Result<std::vector<CheckpointRow>> read_rows(const Store& store) {
  const auto listing = store.list();
  if (!listing) return listing.error();
  std::vector<CheckpointRow> rows;
  for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
    rows.push_back(row_of("ep" + std::to_string(at->first), store.read_sidecar(at->first), at->second.pin));
    if (!at->second.archive) rows.back().problem = "its .pt file is missing";
  }
  if (listing->best_archive || listing->best_sidecar) rows.push_back(row_of("best", store.read_best_sidecar(), false));
  return rows;
}

Result<Verified> select(const Store& store, const std::string& text) {
  const auto selector = checkpoint::parse_selector(text);
  if (!selector) return selector.error();
  return store.select(*selector, "");
}

ReadCheckpoint read_checkpoint(const Store& store, const std::string& selector, const Verified& verified) {
  ReadCheckpoint out{selector, verified.archive_name, verified.sidecar, verified.is_foreign(), false};
  if (out.foreign) {
    out.path = selector;
    return out;
  }
  out.path = store.directory().path_of(verified.archive_name);
  const auto file = checkpoint::parse_episode_file(verified.archive_name);
  const auto listing = store.list();
  out.pinned = file && listing && listing->pinned.contains(file->episode);
  return out;
}

// The episode whose pair `text` means. The best model is never pruned, so pinning it means the pair it came from.
Result<Episode> episode_of(const Store& store, const std::string& text) {
  const auto selector = checkpoint::parse_selector(text);
  if (!selector) return selector.error();
  if (const auto* at = std::get_if<checkpoint::AtEpisode>(&*selector)) return at->episode;
  const auto verified = store.select(*selector, "");
  if (!verified) return verified.error();
  if (verified->is_foreign()) {
    return make_error(ErrorKind::not_found, escape_control(text) + " is no checkpoint of " +
                                                store.directory().path_of("") + ", so nothing would ever prune it.");
  }
  const Episode episode = verified->sidecar.episode;
  if (verified->archive_name != checkpoint::kBestArchive) return episode;
  const auto pair = store.verify(episode);
  if (pair && pair->sidecar.digest == verified->sidecar.digest) return episode;
  return make_error(ErrorKind::not_found, "the best model is that of episode " + std::to_string(episode) +
                                              ", and there is no ep" + std::to_string(episode) + " with its content; " +
                                              verified->archive_name + " itself is never pruned.");
}

// What another program puts into its files is its own affair: with a sidecar that vouches for it, it is valid.
bool is_of_our_trainer(const config::Config& config) {
  return config.worker.command.empty();
}

Exit say_pin(const Store& store, Episode episode, bool pinned, bool changed, bool as_json) {
  const std::string name = "ep" + std::to_string(episode);
  std::string text = name + " is pinned: pruning leaves it alone.\n";
  if (pinned && !changed) text = name + " was pinned already.\n";
  if (!pinned) text = name + " is no longer pinned; the next pruning treats it like any other.\n";
  say(pin_document(store.directory().path().string(), episode, pinned, changed), as_json, text);
  return Exit::ok;
}

}  // namespace

Exit list_checkpoints(const config::Config& config, bool as_json) {
  return with_store(config, Store::Contents::drop, [&](const Store& store) {
    const auto rows = read_rows(store);
    if (!rows) return complain(rows.error(), Exit::failed);
    const std::string directory = store.directory().path().string();
    say(list_document(directory, *rows), as_json,
        rows->empty() ? "There is no checkpoint in " + escape_control(directory) + "/.\n"
                      : render_checkpoints(*rows, config.checkpoints.best_metric));
    return Exit::ok;
  });
}

Exit show_checkpoint(const config::Config& config, const std::string& selector, bool as_json) {
  return with_store(config, Store::Contents::map, [&](const Store& store) {
    const auto chosen = select(store, selector);
    if (!chosen) return refuse(chosen.error(), store);
    const ReadCheckpoint checkpoint = read_checkpoint(store, selector, *chosen);
    const auto archive =
        checkpoint::read_archive(chosen->archive.bytes(), checkpoint.path, checkpoint::CrcCheck::already_digested);
    if (!archive && (checkpoint.foreign || is_of_our_trainer(config))) return complain(archive.error(), Exit::failed);
    const json::object document = archive ? show_document(checkpoint, checkpoint::list_tensors(archive->root))
                                          : show_unread_document(checkpoint, archive.error().message);
    say(document, as_json, render_checkpoint(document));
    return Exit::ok;
  });
}

Exit verify_checkpoints(const config::Config& config, const std::optional<std::string>& selector, bool as_json) {
  return with_store(config, Store::Contents::drop, [&](const Store& store) {
    std::vector<std::string> names;
    if (selector) {
      names.push_back(*selector);
    } else {
      const auto rows = read_rows(store);
      if (!rows) return complain(rows.error(), Exit::failed);
      for (const CheckpointRow& row : *rows) names.push_back(row.name);
    }
    std::vector<Finding> findings;
    for (const std::string& name : names) {
      const auto verified = select(store, name);
      if (selector && !verified && verified.error().kind == ErrorKind::not_found) {
        return refuse(verified.error(), store);
      }
      findings.push_back({name, verified ? "" : verified.error().message});
    }
    const json::object document = verify_document(store.directory().path().string(), findings);
    say(document, as_json, render_verification(document));
    return bool_member(document, "valid").value_or(false) ? Exit::ok : Exit::failed;
  });
}

Exit diff_checkpoints(const config::Config& config, const std::string& a, const std::string& b, bool as_json) {
  return with_store(config, Store::Contents::map, [&](const Store& store) {
    const auto left = select(store, a);
    if (!left) return refuse(left.error(), store);
    const auto right = select(store, b);
    if (!right) return refuse(right.error(), store);
    const ReadCheckpoint read_left = read_checkpoint(store, a, *left);
    const ReadCheckpoint read_right = read_checkpoint(store, b, *right);
    const auto digested = checkpoint::CrcCheck::already_digested;
    const auto left_archive = checkpoint::read_archive(left->archive.bytes(), read_left.path, digested);
    const auto right_archive = checkpoint::read_archive(right->archive.bytes(), read_right.path, digested);
    const bool both = left_archive && right_archive;
    const auto& unread = left_archive ? right_archive : left_archive;
    if (!both && is_of_our_trainer(config)) return complain(unread.error(), Exit::failed);
    const json::object document =
        both ? diff_document(read_left, read_right, checkpoint::compare(left_archive->root, right_archive->root))
             : diff_unread_document(read_left, read_right, unread.error().message);
    say(document, as_json, render_difference(document));
    return Exit::ok;
  });
}

Exit pin_checkpoint(const config::Config& config, const std::string& selector, bool as_json) {
  return with_store(config, Store::Contents::drop, [&](const Store& store) {
    const auto episode = episode_of(store, selector);
    if (!episode) return refuse(episode.error(), store);
    const auto change = checkpoint::pin(store.directory(), *episode);
    if (change) return say_pin(store, *episode, true, *change == checkpoint::PinChange::made, as_json);
    const ErrorKind kind = change.error().kind;
    const bool no_valid_pair = kind == ErrorKind::not_found || kind == ErrorKind::checkpoint;
    return no_valid_pair ? refuse(change.error(), store) : complain(change.error(), Exit::failed);
  });
}

Exit unpin_checkpoint(const config::Config& config, const std::string& selector, bool as_json) {
  return with_store(config, Store::Contents::drop, [&](const Store& store) {
    const auto episode = episode_of(store, selector);
    if (!episode) return refuse(episode.error(), store);
    const auto change = checkpoint::unpin(store.directory(), *episode);
    if (!change) return complain(change.error(), Exit::failed);
    if (*change == checkpoint::PinChange::made) return say_pin(store, *episode, false, true, as_json);
    return complain(make_error(ErrorKind::not_found, "ep" + std::to_string(*episode) + " is not pinned."),
                    Exit::failed);
  });
}

Exit release_checkpoint(const config::Config& config, const std::string& selector, bool as_json) {
  const auto parsed = checkpoint::parse_selector(selector);
  const auto* at = parsed ? std::get_if<checkpoint::AtEpisode>(&*parsed) : nullptr;
  if (at == nullptr) {
    return complain(make_error(ErrorKind::not_found, escape_control(selector) +
                                                         " names nothing in quarantine: what lies there is named by "
                                                         "its episode, such as ep200."),
                    Exit::usage);
  }
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return complain(no_models(config.checkpoints.directory, directory.error()), Exit::failed);
  auto lock = checkpoint::DirectoryLock::acquire(*directory, "supervisorctl");
  if (!lock) {
    const bool held = lock.error().kind == ErrorKind::locked;
    return complain(make_error(lock.error().kind,
                               lock.error().message + (held ? " Stop the training first: supervisorctl stop; and "
                                                              "afterwards start it again: supervisorctl start."
                                                            : "")),
                    Exit::failed);
  }
  const auto released = checkpoint::StoreWriter(*directory, std::move(*lock)).release(at->episode);
  if (!released) {
    const ErrorKind kind = released.error().kind;
    const bool nothing_usable = kind == ErrorKind::not_found || kind == ErrorKind::checkpoint;
    return complain(released.error(), nothing_usable ? Exit::usage : Exit::failed);
  }
  const json::object document = release_document(directory->path().string(), released->sidecar, released->from.string(),
                                                 released->why, released->pinned);
  say(document, as_json, render_release(document));
  return Exit::ok;
}

}  // namespace ts::ctl
