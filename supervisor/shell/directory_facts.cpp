#include "supervisor/shell/directory_facts.h"

#include <sys/stat.h>

#include <utility>

#include <boost/json/value.hpp>

#include "common/checkpoint/store.h"

namespace ts::shell {
namespace {

constexpr std::size_t kLaterMax = 100;

std::optional<CheckpointFact> fact(const checkpoint::Directory& directory, const Result<checkpoint::Sidecar>& sidecar,
                                   const std::string& archive) {
  if (!sidecar) return std::nullopt;
  const std::string path = (directory.path() / archive).string();
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return CheckpointFact{*sidecar, path, std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec)};
}

}  // namespace

DirectoryFacts gather_directory_facts(const config::Config& config, checkpoint::Episode seen) {
  DirectoryFacts facts;
  const auto directory = checkpoint::Directory::open(config.checkpoints.directory, checkpoint::Directory::Create::no);
  if (!directory) return facts;
  const checkpoint::Store store(*directory);
  const auto listing = store.list();
  if (!listing) return facts;
  for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
    const bool later = at->first > seen && facts.later.size() < kLaterMax;
    if (facts.newest && !later) break;
    if (!at->second.archive || !at->second.sidecar) continue;
    const auto sidecar = store.read_sidecar(at->first);
    if (later && sidecar) facts.later.push_back(*sidecar);
    if (!facts.newest) facts.newest = fact(*directory, sidecar, checkpoint::archive_name(at->first));
  }
  if (const auto free = directory->free_bytes()) facts.free_bytes = *free;
  facts.best = fact(*directory, store.read_best_sidecar(), std::string(checkpoint::kBestArchive));
  return facts;
}

std::vector<std::string> exactness_differences(const boost::json::object& before, const boost::json::object& after) {
  std::vector<std::string> names;
  for (const auto& member : before) {
    const auto* other = after.if_contains(member.key());
    if (other == nullptr || *other != member.value()) names.emplace_back(member.key());
  }
  for (const auto& member : after) {
    if (!before.contains(member.key())) names.emplace_back(member.key());
  }
  return names;
}

}  // namespace ts::shell
