#include "common/checkpoint/names.h"

#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/checkpoint/store.h"

namespace ts::checkpoint {
namespace {

using namespace std::string_literals;

TEST(EpisodeFiles, AreNamedByTheirNumberAndReadBack) {
  EXPECT_EQ(archive_name(10), "model_ep10.pt");
  EXPECT_EQ(sidecar_name(10), "model_ep10.json");
  EXPECT_EQ(pin_name(10), "model_ep10.pin");
  for (const Episode episode : {Episode{0}, Episode{1}, Episode{9}, Episode{10}, Episode{100}, kEpisodeMax}) {
    EXPECT_EQ(parse_episode_file(archive_name(episode)), (EpisodeFile{episode, FileKind::archive}));
    EXPECT_EQ(parse_episode_file(sidecar_name(episode)), (EpisodeFile{episode, FileKind::sidecar}));
    EXPECT_EQ(parse_episode_file(pin_name(episode)), (EpisodeFile{episode, FileKind::pin}));
  }
}

TEST(EpisodeFiles, OfAnyOtherNameAreNotOurs) {
  for (const std::string& name : {""s,
                                  "model_ep"s,
                                  "model_ep.pt"s,
                                  "model_ep-1.pt"s,
                                  "model_ep+1.pt"s,
                                  "model_ep01.pt"s,
                                  "model_ep00.pt"s,
                                  "model_ep 1.pt"s,
                                  "model_ep1 .pt"s,
                                  "model_ep1.0.pt"s,
                                  "model_ep1e3.pt"s,
                                  "model_ep0x1.pt"s,
                                  "model_ep1000000000.pt"s,
                                  "model_ep99999999999.pt"s,
                                  "model_ep99999999999999999999999.pt"s,
                                  "model_ep10.pt.tmp"s,
                                  "model_ep10.pt.json"s,
                                  "model_ep10.json.pt"s,
                                  "model_ep10.PT"s,
                                  "model_ep10.pins"s,
                                  "model_ep010.pin"s,
                                  "best_model.pin"s,
                                  "model_ep10"s,
                                  "Model_ep10.pt"s,
                                  "model_ep10.pt "s,
                                  " model_ep10.pt"s,
                                  "model_ep10.pt\n"s,
                                  "model_ep10\n.pt"s,
                                  "model_ep1\0.pt"s,
                                  "./model_ep10.pt"s,
                                  "models/model_ep10.pt"s,
                                  "../model_ep10.pt"s,
                                  "best_model.pt"s,
                                  "model_ep\xd9\xa3.pt"s,
                                  ".model_ep10.pt"s}) {
    EXPECT_EQ(parse_episode_file(name), std::nullopt) << name;
  }
}

TEST(TemporaryNames, AreReadBackForEveryFileThatIsWrittenThatWay) {
  for (const std::string& final_name : {archive_name(10), sidecar_name(0), std::string(kBestArchive),
                                        std::string(kBestSidecar), std::string(kIntentFile)}) {
    const TemporaryName name{final_name, 4321, 7};
    EXPECT_EQ(parse_temporary_name(temporary_name(name)), name) << temporary_name(name);
    EXPECT_EQ(parse_episode_file(temporary_name(name)), std::nullopt);
    EXPECT_TRUE(temporary_name(name).starts_with('.'));
  }
  EXPECT_EQ(temporary_name({"model_ep10.pt", 4321, 7}), ".model_ep10.pt.tmp-4321-7");
}

TEST(TemporaryNames, OfAnyOtherFormAreNotOursToSweep) {
  for (const std::string& name : {""s,
                                  "."s,
                                  ".tmp-1-1"s,
                                  "model_ep10.pt.tmp-1-1"s,
                                  ".model_ep10.pt.tmp"s,
                                  ".model_ep10.pt.tmp-"s,
                                  ".model_ep10.pt.tmp-1"s,
                                  ".model_ep10.pt.tmp-1-"s,
                                  ".model_ep10.pt.tmp--1"s,
                                  ".model_ep10.pt.tmp-1-1-1"s,
                                  ".model_ep10.pt.tmp-x-1"s,
                                  ".model_ep10.pt.tmp-1-x"s,
                                  ".model_ep10.pt.tmp-01-1"s,
                                  ".model_ep10.pt.tmp-1-1 "s,
                                  ".model_ep01.pt.tmp-1-1"s,
                                  ".notes.txt.tmp-1-1"s,
                                  ".lock.tmp-1-1"s,
                                  ".model_ep10.pt.tmp-1-1\n"s,
                                  ".model_ep10.pt.tmp-1-99999999999999999999"s,
                                  "../.model_ep10.pt.tmp-1-1"s,
                                  ".best_model.json.next"s}) {
    EXPECT_EQ(parse_temporary_name(name), std::nullopt) << name;
  }
}

TEST(Selectors, NameACheckpointTheWayPeopleDo) {
  EXPECT_EQ(*parse_selector("latest"), Selector(Latest{}));
  EXPECT_EQ(*parse_selector("best"), Selector(Best{}));
  EXPECT_EQ(*parse_selector("ep200"), Selector(AtEpisode{200}));
  EXPECT_EQ(*parse_selector("200"), Selector(AtEpisode{200}));
  EXPECT_EQ(*parse_selector("0"), Selector(AtEpisode{0}));
  for (const std::string path : {"models/model_ep200.pt", "/tmp/x.pt", "x.pt", "./latest", "a/b", "latest.pt", "/"}) {
    EXPECT_EQ(*parse_selector(path), Selector(AtPath{path})) << path;
  }
}

TEST(Selectors, OfAnyOtherFormAreRefusedWithWhatToSay) {
  for (const std::string& text : {""s, "Latest"s, " latest"s, "newest"s, "ep"s, "ep-1"s, "ep01"s, "ep1.5"s, "-1"s,
                                  "99999999999"s, "ep200\n"s, "epep200"s, "\x1b[2J"s}) {
    const auto parsed = parse_selector(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::not_found);
    EXPECT_NE(parsed.error().message.find("use latest, best, ep200"), std::string::npos);
    EXPECT_EQ(parsed.error().message.find('\x1b'), std::string::npos);
    EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
  }
}

TEST(Selectors, ArePrintedAsTheyAreRead) {
  for (const std::string text : {"latest", "best", "ep0", "ep200", "models/model_ep200.pt"}) {
    EXPECT_EQ(to_string(*parse_selector(text)), text);
  }
  EXPECT_EQ(to_string(Selector(AtPath{"a\n/b"})), "a\\x0a/b");
}

TEST(AListing, IsOrderedByNumberAndLeavesOutWhatIsNotOurs) {
  const Listing listing = classify({"model_ep10.pt", "model_ep9.pt", "model_ep100.json", "model_ep9.json", "notes.txt",
                                    "model_ep007.pt", "best_model.pt", ".model_ep10.json.tmp-1-2", ".lock",
                                    ".best_model.json.next", "superseded", "model_ep10.pt.bak"});
  std::vector<Episode> episodes;
  for (const auto& [episode, files] : listing.episodes) episodes.push_back(episode);
  EXPECT_EQ(episodes, (std::vector<Episode>{9, 10, 100}));
  EXPECT_TRUE(listing.episodes.at(9).archive && listing.episodes.at(9).sidecar);
  EXPECT_TRUE(listing.episodes.at(10).archive && !listing.episodes.at(10).sidecar);
  EXPECT_TRUE(!listing.episodes.at(100).archive && listing.episodes.at(100).sidecar);
  EXPECT_TRUE(listing.best_archive && !listing.best_sidecar && listing.best_sidecar_next && !listing.intent);
  EXPECT_EQ(listing.temporaries, (std::vector<std::string>{".model_ep10.json.tmp-1-2"}));
  EXPECT_TRUE(listing.holds_checkpoint_files());
  EXPECT_FALSE(classify({".lock", "notes.txt", ".supervisor"}).holds_checkpoint_files());
}

TEST(AListing, KnowsAPinWithItsPairAndMakesNoPairOfAPinAlone) {
  const Listing listing = classify(
      {"model_ep10.pin", "model_ep10.pt", "model_ep20.json", "model_ep20.pin", "model_ep30.pt", "model_ep40.pin"});
  EXPECT_EQ(listing.pinned, (std::set<Episode>{10, 20, 40}));
  EXPECT_TRUE(listing.episodes.at(10).pin && listing.episodes.at(20).pin && !listing.episodes.at(30).pin);
  EXPECT_FALSE(listing.episodes.contains(40));
  EXPECT_FALSE(classify({"model_ep40.pin"}).holds_checkpoint_files());
  EXPECT_TRUE(classify({".model_ep10.pin.tmp-1-2"}).temporaries.empty()) << "no writer of ours makes such a file";
}

}  // namespace
}  // namespace ts::checkpoint
