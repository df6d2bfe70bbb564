#include "common/checkpoint/store.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/base/text.h"
#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/digest.h"

namespace ts::checkpoint {
namespace {

constexpr std::uint64_t kArchiveBytesMax = std::uint64_t{1} << 42;  // 4 TiB: a bound, not an expectation

// Bytes that were read and are wrong are proof; a file that could not be read is not.
Damage damage_of(const Error& error) {
  return error.kind == ErrorKind::checkpoint || error.kind == ErrorKind::not_found ? Damage::proven : Damage::unproven;
}

}  // namespace

Listing classify(const std::vector<std::string>& names) {
  Listing listing;
  for (const std::string& name : names) {
    if (const auto file = parse_episode_file(name)) {
      switch (file->kind) {
        case FileKind::archive: listing.episodes[file->episode].archive = true; break;
        case FileKind::sidecar: listing.episodes[file->episode].sidecar = true; break;
        case FileKind::pin: listing.pinned.insert(file->episode); break;
      }
    } else if (parse_temporary_name(name)) {
      listing.temporaries.push_back(name);
    }
    listing.best_archive = listing.best_archive || name == kBestArchive;
    listing.best_sidecar = listing.best_sidecar || name == kBestSidecar;
    listing.best_sidecar_next = listing.best_sidecar_next || name == kBestSidecarNext;
    listing.intent = listing.intent || name == kIntentFile;
  }
  for (const Episode episode : listing.pinned) {
    const auto pair = listing.episodes.find(episode);
    if (pair != listing.episodes.end()) pair->second.pin = true;
  }
  return listing;
}

Result<Listing> Store::list() const {
  const auto names = directory_.list();
  if (!names) return names.error();
  return classify(*names);
}

Result<Sidecar> Store::read_sidecar(Episode episode) const {
  const auto file = directory_.read_file(sidecar_name(episode), kSidecarBytesMax);
  if (!file) return file.error();
  auto sidecar = parse_sidecar(file->text(), directory_.path_of(sidecar_name(episode)), archive_name(episode));
  if (sidecar && sidecar->episode != episode) {
    return make_error(ErrorKind::checkpoint, directory_.path_of(sidecar_name(episode)) + " speaks of episode " +
                                                 std::to_string(sidecar->episode) + ", its name of " +
                                                 std::to_string(episode) + ".");
  }
  return sidecar;
}

Result<Sidecar> Store::read_best_sidecar() const {
  const std::string name(kBestSidecar);
  const auto file = directory_.read_file(name, kSidecarBytesMax);
  if (!file) return file.error();
  return parse_sidecar(file->text(), directory_.path_of(name), kBestArchive);
}

Result<Verified> Store::verify_pair(const std::string& archive, const std::string& sidecar) const {
  const auto record = directory_.read_file(sidecar, kSidecarBytesMax);
  if (!record) {
    if (record.error().kind != ErrorKind::not_found) return record.error();
    const auto listing = list();
    const auto file = parse_episode_file(archive);
    const bool there = listing && (file ? listing->episodes.contains(file->episode) : listing->best_archive);
    if (!there) return make_error(ErrorKind::not_found, "there is no checkpoint " + directory_.path_of(archive) + ".");
    return make_error(ErrorKind::not_found,
                      directory_.path_of(archive) + " has no sidecar " + sidecar + ", so it was never committed.");
  }
  auto parsed = parse_sidecar(record->text(), directory_.path_of(sidecar), archive);
  if (!parsed) return parsed.error();
  // The size first: a file of another one need not be read, however large it says it is.
  const auto size = directory_.file_size(archive);
  if (!size) return size.error();
  if (*size != parsed->bytes) {
    return make_error(ErrorKind::checkpoint, directory_.path_of(archive) + " has " + std::to_string(*size) +
                                                 " bytes, its sidecar says " + std::to_string(parsed->bytes) +
                                                 (*size < parsed->bytes ? ": it is cut short." : "."));
  }
  FileBytes bytes;
  const auto digest = [&]() -> Result<std::string> {
    if (contents_ == Contents::drop) return directory_.digest_file(archive, parsed->bytes);
    if (contents_ == Contents::map) {
      auto mapped = directory_.map_file(archive, parsed->bytes);
      if (!mapped) return mapped.error();
      bytes = std::move(*mapped);
      return digest_of(bytes.bytes());
    }
    Digester digester;
    auto read = directory_.read_file(archive, parsed->bytes, &digester);
    if (!read) return read.error();
    bytes = std::move(*read);
    return digester.text();
  }();
  if (!digest) return digest.error();
  if (*digest != parsed->digest) {
    return make_error(ErrorKind::checkpoint, directory_.path_of(archive) + " has digest " + *digest +
                                                 ", its sidecar says " + parsed->digest + ": its bytes are damaged.");
  }
  return Verified{std::move(*parsed), archive, std::move(bytes)};
}

Result<Verified> Store::verify(Episode episode) const {
  auto verified = verify_pair(archive_name(episode), sidecar_name(episode));
  if (verified && verified->sidecar.episode != episode) {
    return make_error(ErrorKind::checkpoint, directory_.path_of(sidecar_name(episode)) + " speaks of episode " +
                                                 std::to_string(verified->sidecar.episode) + ", its name of " +
                                                 std::to_string(episode) + ".");
  }
  return verified;
}

Result<Verified> Store::verify_best() const {
  return verify_pair(std::string(kBestArchive), std::string(kBestSidecar));
}

Result<Choice> Store::choose_newest(const std::string& run_id) const {
  const auto listing = list();
  if (!listing) return listing.error();
  Choice choice;
  for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
    const Episode episode = at->first;
    if (!run_id.empty()) {
      const auto sidecar = read_sidecar(episode);
      if (sidecar && sidecar->run_id != run_id) {
        choice.rejected.push_back({episode,
                                   directory_.path_of(archive_name(episode)) + " belongs to another run (" +
                                       escape_control(sidecar->run_id) + ").",
                                   Damage::unproven});
        continue;
      }
    }
    auto verified = verify(episode);
    if (verified) {
      choice.newest = std::move(*verified);
      return choice;
    }
    const auto record = directory_.read_file(sidecar_name(episode), kSidecarBytesMax);
    const bool newer_format = record && is_of_newer_format(record->text());
    choice.rejected.push_back(
        {episode, verified.error().message, newer_format ? Damage::unproven : damage_of(verified.error())});
  }
  return choice;
}

Result<Verified> Store::select(const Selector& selector, const std::string& run_id) const {
  if (std::holds_alternative<Latest>(selector)) {
    auto choice = choose_newest(run_id);
    if (!choice) return choice.error();
    if (choice->newest) return std::move(*choice->newest);
    return make_error(ErrorKind::not_found, directory_.path_of("") + " holds no valid checkpoint of this run.");
  }
  if (std::holds_alternative<Best>(selector)) return verify_best();
  if (const auto* at = std::get_if<AtEpisode>(&selector)) return verify(at->episode);
  return select_path(std::get<AtPath>(selector).path);
}

Result<Verified> Store::select_path(const std::string& path) const {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path given(path);
  const fs::path parent = given.has_parent_path() ? given.parent_path() : fs::path(".");
  const std::string name = given.filename().string();
  if (fs::equivalent(parent, directory_.path(), error)) {
    const auto file = parse_episode_file(name);
    const bool has_sidecar = file && fs::exists(directory_.path() / sidecar_name(file->episode), error);
    if (file && file->kind == FileKind::archive && has_sidecar) return verify(file->episode);
    if (name == kBestArchive && fs::exists(directory_.path() / kBestSidecar, error)) return verify_best();
  }
  return read_foreign_archive(path);
}

std::string Store::list_usable() const {
  const auto listing = list();
  std::vector<std::string> names;
  if (listing) {
    for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
      if (verify(at->first)) names.push_back("ep" + std::to_string(at->first));
    }
  }
  if (verify_best()) names.emplace_back("best");
  return names.empty() ? "there is no valid checkpoint in " + directory_.path_of("")
                       : "valid ones in " + directory_.path_of("") + ": " + join(names, ", ");
}

Result<Verified> read_foreign_archive(const std::string& path) {
  const std::filesystem::path given(path);
  const auto parent = given.has_parent_path() ? given.parent_path() : std::filesystem::path(".");
  const auto directory = Directory::open(parent, Directory::Create::no);
  if (!directory) return directory.error();
  const std::string name = given.filename().string();
  auto bytes = directory->read_file(name, kArchiveBytesMax);
  if (!bytes) return bytes.error();
  const auto archive = read_archive(bytes->bytes(), path, CrcCheck::verify);
  if (!archive) return archive.error();
  Sidecar sidecar;
  sidecar.file = name;
  sidecar.bytes = bytes->bytes().size();
  sidecar.digest = digest_of(bytes->bytes());
  return Verified{std::move(sidecar), name, std::move(*bytes)};
}

std::string describe_set_aside(const Directory& directory) {
  namespace fs = std::filesystem;
  std::uint64_t bytes = 0;
  std::vector<std::string> names;
  for (const std::string_view name : {kSupersededDirectory, kQuarantineDirectory}) {
    const std::uint64_t before = bytes;
    std::error_code error;
    fs::recursive_directory_iterator at(directory.path() / name, fs::directory_options::skip_permission_denied, error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      std::error_code unreadable;
      const bool regular = at->symlink_status(unreadable).type() == fs::file_type::regular;
      const std::uint64_t size = regular ? at->file_size(unreadable) : 0;
      if (!unreadable) bytes += size;
    }
    if (bytes > before) names.push_back(directory.path_of(name));
  }
  if (bytes == 0) return "";
  return join(names, " and ") + (names.size() == 1 ? " holds " : " hold ") + human_bytes(bytes) +
         " of checkpoints that were set aside: remove those that nobody wants to go back to.";
}

}  // namespace ts::checkpoint
