// recover_states: what the next trainer finds in a models directory and makes of it, for many directories in one
// process (tests/crash).
//
// Reads lines "<run id><tab><directory>"; for each it takes the lock, recovers, chooses where to resume from and sets
// damaged files aside, as a trainer's start does, and answers with one line of JSON. Ends with its input.
#include <iostream>
#include <string>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/directory_lock.h"
#include "common/checkpoint/resume_choice.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"

namespace {

using ts::checkpoint::Directory;
using ts::checkpoint::Store;
using ts::checkpoint::Verified;

boost::json::object describe(const Verified& verified) {
  boost::json::object out;
  out["episode"] = verified.sidecar.episode;
  out["file"] = verified.archive_name;
  out["digest"] = verified.sidecar.digest;
  out["run_id"] = verified.sidecar.run_id;
  return out;
}

// P1: a valid sidecar under its final name has its content beside it. Those that have not.
ts::Result<boost::json::array> records_without_content(const Store& store) {
  const auto listing = store.list();
  if (!listing) return listing.error();
  boost::json::array out;
  for (const auto& [episode, files] : listing->episodes) {
    if (!files.sidecar || !store.read_sidecar(episode)) continue;
    const auto verified = store.verify(episode);
    if (!verified) out.emplace_back(verified.error().message);
  }
  return out;
}

ts::Result<boost::json::array> valid_episodes(const Store& store) {
  const auto listing = store.list();
  if (!listing) return listing.error();
  boost::json::array out;
  for (const auto& [episode, files] : listing->episodes) {
    if (store.verify(episode)) out.emplace_back(episode);
  }
  return out;
}

ts::Result<boost::json::object> start_as_a_trainer_does(const std::string& run_id, const std::string& path) {
  const auto directory = Directory::open(path, Directory::Create::yes);
  if (!directory) return directory.error();
  auto lock = ts::checkpoint::DirectoryLock::acquire(*directory, "recover_states");
  if (!lock) return lock.error();
  const Store store(*directory);
  boost::json::object out;
  const auto before = records_without_content(store);
  if (!before) return before.error();
  out["broken_before"] = *before;

  ts::checkpoint::StoreWriter writer(*directory, std::move(*lock));
  const auto recovered = writer.recover();
  if (!recovered) return recovered.error();
  const auto choice = ts::checkpoint::choose_resume_point(store, run_id);
  if (!choice) return choice.error();
  const auto quarantined = writer.quarantine(choice->rejected);
  if (!quarantined) return quarantined.error();
  boost::json::array notes(recovered->begin(), recovered->end());
  for (const std::string& note : *quarantined) notes.emplace_back(note);
  out["notes"] = std::move(notes);

  boost::json::array rejected;
  for (const auto& rejection : choice->rejected) rejected.emplace_back(rejection.reason);
  out["rejected"] = std::move(rejected);
  out["chosen"] = nullptr;
  if (choice->chosen) out["chosen"] = describe(*choice->chosen);
  out["best"] = nullptr;
  if (const auto best = store.verify_best()) out["best"] = describe(*best);
  const auto after = records_without_content(store);
  const auto valid = valid_episodes(store);
  if (!after || !valid) return (after ? valid : after).error();
  out["broken"] = *after;
  out["valid"] = *valid;
  return out;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto tab = line.find('\t');
    if (tab == std::string::npos) {
      std::cerr << "recover_states: each line must be <run id><tab><directory>\n";
      return 2;
    }
    auto answer = start_as_a_trainer_does(line.substr(0, tab), line.substr(tab + 1));
    const boost::json::object said =
        answer ? std::move(*answer) : boost::json::object{{"error", answer.error().message}};
    std::cout << ts::compact_json(said) << '\n' << std::flush;
  }
  return 0;
}
