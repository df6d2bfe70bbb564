#include "tests/unit/checkpoint/crash_rig.h"

#include <utility>

#include "common/checkpoint/digest.h"
#include "common/checkpoint/store_writer.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

const std::map<std::string, std::string> kForeign = {{"notes.txt", "mine"},
                                                     {"model_ep7.pt.bak", "mine too"},
                                                     {"model_ep007.pt", "no number of ours"},
                                                     {".model_ep9.pt.tmp-x-1", "no temporary of ours"},
                                                     {"best_model.pt.old", "an old one"}};

double profit_of(Episode episode) {
  return episode == 10 ? -1.0 : static_cast<double>(episode);  // the best models: 9, then 100
}

template <class Call>
bool succeeds_in_two(Call&& call) {
  return call() || call();
}

class Training {
 public:
  // `truth` is the same directory without faults, for the rig's own looks.
  Training(StoreWriter& writer, const Directory& truth, Promises& promises, const std::function<void()>& promised)
      : writer_(writer), store_(truth), promises_(promises), promised_(promised) {}

  void save(Episode episode) {
    const std::vector<std::byte> archive = small_archive(episode);
    const std::string digest = digest_of(archive);
    const bool new_best = profit_of(episode) > best_profit_;
    if (!promises_.must.contains(episode)) promises_.may[episode] = digest;
    const bool committed = succeeds_in_two([&] {
      const auto done = writer_.commit(archive, sidecar_for(episode, profit_of(episode)));
      return done.has_value();
    });
    if (committed) {
      promises_.may.erase(episode);
      promises_.must[episode] = digest;
      if (promised_) promised_();
    }
    if (new_best) save_best(episode, archive, digest);
    if (committed) prune(episode);
  }

 private:
  void save_best(Episode episode, const std::vector<std::byte>& archive, const std::string& digest) {
    promises_.best.insert(digest);
    const bool done = succeeds_in_two(
        [&] { return writer_.commit_best(archive, sidecar_for(episode, profit_of(episode))).has_value(); });
    if (!done) return;
    promises_.best = {digest};
    promises_.best_must = true;
    if (promised_) promised_();
    best_profit_ = profit_of(episode);
  }

  void prune(Episode verified) {
    std::vector<Episode> there;
    if (const auto listing = store_.list()) {
      for (const auto& [episode, files] : listing->episodes) {
        if (files.archive && files.sidecar) there.push_back(episode);
      }
    }
    for (const Episode victim : plan_prune(there, verified, kKeepTwo)) {
      if (auto kept = promises_.must.extract(victim)) promises_.may.insert(std::move(kept));
    }
    succeeds_in_two([&] { return writer_.prune(kRun, verified, kKeepTwo).has_value(); });
  }

  StoreWriter& writer_;
  Store store_;
  Promises& promises_;
  const std::function<void()>& promised_;
  double best_profit_ = -100.0;
};

void check_choice(const Store& store, const Promises& promises, std::vector<std::string>& out) {
  const auto choice = store.choose_newest(kRun);
  if (!choice) {
    out.push_back("choosing failed: " + choice.error().message);
    return;
  }
  if (!choice->newest) {
    if (!promises.must.empty()) out.push_back("nothing is left to resume from");
    return;
  }
  const Episode chosen = choice->newest->sidecar.episode;
  if (!promises.must.empty() && chosen < promises.must.rbegin()->first) {
    out.push_back("episode " + std::to_string(chosen) + " was chosen, an acknowledged one is newer");
  }
  const auto& known = promises.must.contains(chosen) ? promises.must : promises.may;
  const auto expected = known.find(chosen);
  if (expected == known.end() || expected->second != choice->newest->sidecar.digest) {
    out.push_back("episode " + std::to_string(chosen) + " was chosen with content that nobody saved");
  }
}

// P1: a valid sidecar under its final name has its content beside it, at any moment.
void check_records(const Store& store, std::vector<std::string>& out) {
  const auto listing = store.list();
  if (!listing) return;
  for (const auto& [episode, files] : listing->episodes) {
    if (!files.sidecar || !store.read_sidecar(episode)) continue;
    const auto verified = store.verify(episode);
    if (!verified) out.push_back("a sidecar stands without its content: " + verified.error().message);
  }
}

void check_foreign(const std::filesystem::path& directory, std::vector<std::string>& out) {
  for (const auto& [name, content] : kForeign) {
    if (read_text(directory / name) != content) out.push_back("the foreign file " + name + " was touched");
  }
}

}  // namespace

void plant_foreign_files(const std::filesystem::path& directory) {
  for (const auto& [name, content] : kForeign) write_text(directory / name, content);
}

void train(const std::filesystem::path& path, FileSystem& fs, Promises& promises,
           const std::function<void()>& promised) {
  for (int launch = 0; launch < 2; ++launch) {
    const auto directory = Directory::open(path, Directory::Create::no, fs);
    if (!directory) continue;
    auto lock = DirectoryLock::acquire(*directory, "test");
    if (!lock) continue;
    StoreWriter writer(*directory, std::move(*lock));
    if (!succeeds_in_two([&] { return writer.recover().has_value(); })) continue;
    const auto truth = Directory::open(path, Directory::Create::no);
    Training training(writer, *truth, promises, promised);
    for (const Episode episode : kSaves) training.save(episode);
    return;
  }
}

std::vector<std::string> broken(const std::filesystem::path& path, const Promises& promises) {
  std::vector<std::string> out;
  const auto directory = Directory::open(path, Directory::Create::no);
  if (!directory) return {directory.error().message};
  const Store store(*directory);
  for (const auto& [episode, digest] : promises.must) {
    const auto verified = store.verify(episode);
    if (!verified) {
      out.push_back("an acknowledged checkpoint is lost: " + verified.error().message);
    } else if (verified->sidecar.digest != digest) {
      out.push_back("episode " + std::to_string(episode) + " has other content than was saved");
    }
  }
  check_records(store, out);
  check_choice(store, promises, out);
  check_foreign(path, out);
  return out;
}

std::vector<std::string> broken_after_recovery(const std::filesystem::path& path, const Promises& promises) {
  std::vector<std::string> out = broken(path, promises);
  FakeFileSystem fs;
  std::map<std::string, std::string> after_first;
  for (int round = 0; round < 2; ++round) {
    const auto directory = Directory::open(path, Directory::Create::no, fs);
    auto lock = directory ? DirectoryLock::acquire(*directory, "test") : Result<DirectoryLock>(directory.error());
    if (!lock) return {lock.error().message};
    StoreWriter writer(*directory, std::move(*lock));
    const auto notes = writer.recover();
    if (!notes) out.push_back("recovery failed: " + notes.error().message);
    if (round == 1 && notes && !notes->empty()) out.push_back("a second recovery found work: " + notes->front());

    const Store store(*directory);
    const auto listing = store.list();
    if (!listing || !listing->temporaries.empty()) out.push_back("temporary files are left");
    if (listing && (listing->best_sidecar_next || listing->intent)) out.push_back("an interrupted step is left");
    const auto best = store.verify_best();
    if (promises.best_must && !best) out.push_back("the best model is lost: " + best.error().message);
    if (best && !promises.best.contains(best->sidecar.digest)) out.push_back("the best model is one nobody saved");
    for (std::string& sentence : broken(path, promises)) out.push_back("after recovery: " + std::move(sentence));
    if (round == 0) {
      after_first = snapshot(path);
    } else if (snapshot(path) != after_first) {
      out.push_back("a second recovery changed files");
    }
  }
  return out;
}

}  // namespace ts::checkpoint
