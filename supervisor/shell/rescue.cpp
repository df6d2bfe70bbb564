#include "supervisor/shell/rescue.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <utility>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/digest.h"
#include "common/checkpoint/store.h"

namespace ts::shell {
namespace {

using checkpoint::Sidecar;
using protocol::SnapshotNotice;

// A file in memory, read where it lies. Ownership: owns the mapping, not the descriptor.
class MappedMemory {
 public:
  static Result<MappedMemory> open(int fd, std::uint64_t bytes);

  MappedMemory(MappedMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedMemory& operator=(MappedMemory&&) = delete;
  ~MappedMemory() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedMemory(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

Error refusal(std::string why) {
  return make_error(ErrorKind::checkpoint, std::move(why));
}

// Asked of the descriptor first, since it cannot wait: anything that is no memory file has no seals.
Result<> seal_content(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return refusal("what came with its announcement is no memory file (memfd)");
  if ((seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_GROW) == 0) {
    return refusal("its memory file is not sealed against shrinking and growing");
  }
  // Pages must not go while they are read, whoever else still has the descriptor. Sealed against all writing where
  // nobody has it mapped any more, and else against everything but such mappings: what they write the digests tell.
  const bool holds_its_pages = (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0 ||
                               ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 ||
                               ::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;
  if (!holds_its_pages) {
    return refusal(std::string("its memory file could not be sealed against writing: ") + std::strerror(errno));
  }
  return {};
}

Result<MappedMemory> MappedMemory::open(int fd, std::uint64_t bytes) {
  const auto sealed = seal_content(fd);
  if (!sealed) return sealed.error();
  struct statfs file_system {};
  struct stat status {};
  if (::fstatfs(fd, &file_system) != 0 || ::fstat(fd, &status) != 0) {
    return refusal(std::string("its memory file could not be examined: ") + std::strerror(errno));
  }
  // Huge pages are taken from a pool when they are touched, and where that is empty the toucher is killed.
  if (file_system.f_type != TMPFS_MAGIC) return refusal("its memory file is not of ordinary pages");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size != bytes) {
    return refusal("its memory file has " + std::to_string(size) + " bytes, " + std::to_string(bytes) +
                   " were announced");
  }
  constexpr std::uint64_t kBlockBytes = 512;  // whatever the file system's own are: stat(3type)
  if (static_cast<std::uint64_t>(status.st_blocks) < (size + kBlockBytes - 1) / kBlockBytes) {
    return refusal("its memory file has holes");
  }
  // Private, since a shared one of a file that is sealed against writing is refused by kernels before 6.7.
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (memory == MAP_FAILED) {  // no memory just now: it is as good as ever
    return make_error(ErrorKind::unavailable, std::string("it could not be mapped: ") + std::strerror(errno));
  }
  return MappedMemory({static_cast<const std::byte*>(memory), size});
}

// Our own trainer's archive says its episode itself; what another program puts into its files is its own affair.
Result<> check_content(std::span<const std::byte> bytes, const SnapshotNotice& notice, const config::Config& config) {
  const std::string digest = checkpoint::digest_of(bytes);
  if (digest != notice.digest) return refusal("it has digest " + digest + ", announced was " + notice.digest);
  if (!config.worker.command.empty()) return {};
  const auto archive = checkpoint::read_archive(bytes, "it", checkpoint::CrcCheck::already_digested);
  if (!archive) return archive.error();
  const auto episode = checkpoint::expect_int64(archive->root, "episode");
  if (!episode) return episode.error();
  if (*episode == notice.episode) return {};
  return refusal("it holds episode " + std::to_string(*episode) + ", announced was " + std::to_string(notice.episode));
}

// What the worker has said about the snapshot, as a sidecar that the store has accepted. What this side knows for sure
// is not taken from there.
Result<Sidecar> make_sidecar(const HeldSnapshot& held, const std::string& run_id, const config::Config& config) {
  const SnapshotNotice& notice = held.notice;
  const auto document = parse_json(notice.record, "its announcement", checkpoint::kSidecarBytesMax);
  if (!document) return refusal(document.error().message);
  if (!document->is_object()) return refusal("its announcement is no JSON object");
  boost::json::object record = document->get_object();
  const auto said = string_member(record, "run_id");
  if (said && !run_id.empty() && *said != run_id) {
    return refusal("it belongs to run " + escape_control(*said) + ", not to " + escape_control(run_id));
  }
  const std::string file = checkpoint::archive_name(notice.episode);
  record["format"] = checkpoint::kSidecarFormat;
  record["file"] = file;
  record["reason"] = checkpoint::to_string(checkpoint::SaveReason::rescue);
  record["created"] = rfc3339_utc(std::chrono::system_clock::now());
  record["episode"] = notice.episode;
  record["bytes"] = notice.bytes;
  record["digest"] = notice.digest;
  record["attempt"] = held.attempt;
  if (!run_id.empty()) record["run_id"] = run_id;
  if (!record.contains("total_episodes")) record["total_episodes"] = config.training.episodes;
  auto sidecar = checkpoint::parse_sidecar(pretty_json(record), "its announcement", file);
  if (!sidecar) return refusal(sidecar.error().message);
  return sidecar;
}

// A checkpoint of this run that makes the snapshot superfluous; older ones need no reading.
Result<std::optional<checkpoint::Episode>> newest_on_disk(const Sidecar& sidecar,
                                                          const checkpoint::Directory& directory) {
  const checkpoint::Store store(directory);
  const auto listing = store.list();
  if (!listing) return listing.error();
  for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend() && at->first >= sidecar.episode; ++at) {
    const auto record = store.read_sidecar(at->first);
    if (record && record->run_id == sidecar.run_id && store.verify(at->first)) return std::optional(at->first);
  }
  return std::optional<checkpoint::Episode>();
}

std::string name_of(const HeldSnapshot& held) {
  return "the snapshot of episode " + std::to_string(held.notice.episode);
}

Rescue not_rescued(const HeldSnapshot& held, Rescue::Outcome outcome, const Error& error) {
  return {outcome, name_of(held) + " was not rescued: " + as_clause(error.message) + ".", std::nullopt};
}

Rescue commit_snapshot(const HeldSnapshot& held, const Sidecar& sidecar, const config::Config& config,
                       const checkpoint::Directory& directory, checkpoint::StoreWriter& writer) {
  const auto begun = std::chrono::steady_clock::now();
  const auto memory = MappedMemory::open(held.memory.get(), held.notice.bytes);
  if (!memory) {
    const bool for_good = memory.error().kind == ErrorKind::checkpoint;
    return not_rescued(held, for_good ? Rescue::Outcome::refused : Rescue::Outcome::not_written, memory.error());
  }
  const auto right = check_content(memory->bytes(), held.notice, config);
  if (!right) return not_rescued(held, Rescue::Outcome::refused, right.error());
  const auto committed = writer.commit(memory->bytes(), sidecar, [&](Sidecar& durable) {
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begun;
    durable.durable_ms = taken.count();
  });
  if (!committed) return not_rescued(held, Rescue::Outcome::not_written, committed.error());
  return {Rescue::Outcome::rescued,
          "rescued episode " + std::to_string(committed->episode) +
              " from the dead worker's memory: " + directory.path_of(committed->file),
          *committed};
}

// Whoever filed it, or a better one, read every byte again: what the sidecars say is enough.
bool is_filed(const Sidecar& sidecar, const checkpoint::Directory& directory) {
  const checkpoint::Store store(directory);
  const auto best = store.read_best_sidecar();
  if (best && best->run_id == sidecar.run_id && best->episode >= sidecar.episode) return true;
  const auto own = store.read_sidecar(sidecar.episode);
  return own && own->run_id == sidecar.run_id && own->digest == sidecar.digest;
}

Rescue rescue_best(const HeldSnapshot& held, const std::string& run_id, const config::Config& config,
                   const checkpoint::Directory& directory, checkpoint::StoreWriter& writer) {
  const auto sidecar = make_sidecar(held, run_id, config);
  if (!sidecar) return not_rescued(held, Rescue::Outcome::refused, sidecar.error());
  if (is_filed(*sidecar, directory)) return {Rescue::Outcome::not_needed, "", std::nullopt};
  return commit_snapshot(held, *sidecar, config, directory, writer);
}

}  // namespace

Rescue rescue_snapshot(const HeldSnapshot& held, const std::string& run_id, const config::Config& config,
                       const checkpoint::Directory& directory, checkpoint::StoreWriter& writer) {
  const auto sidecar = make_sidecar(held, run_id, config);
  if (!sidecar) return not_rescued(held, Rescue::Outcome::refused, sidecar.error());
  std::string besides;
  if (held.best && config.checkpoints.save_best) {
    const Rescue best = rescue_best(*held.best, run_id, config, directory, writer);
    if (best.outcome == Rescue::Outcome::not_written) return best;
    if (best.outcome != Rescue::Outcome::not_needed) besides = best.sentence + "; ";
  }
  const auto on_disk = newest_on_disk(*sidecar, directory);
  if (!on_disk) return not_rescued(held, Rescue::Outcome::not_written, on_disk.error());
  if (*on_disk) {
    return {Rescue::Outcome::not_needed,
            besides + name_of(held) + " need not be rescued: episode " + std::to_string(**on_disk) + " is on disk.",
            std::nullopt};
  }
  Rescue rescue = commit_snapshot(held, *sidecar, config, directory, writer);
  rescue.sentence.insert(0, besides);
  return rescue;
}

}  // namespace ts::shell
