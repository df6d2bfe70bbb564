// When the supervisor's memory is written: before what relies on it, and never while somebody waits (P6, P8, P9).
#include "supervisor/shell/state_keeper.h"

#include "tests/unit/supervisor/off_the_loop.h"

namespace ts::shell {
namespace {

class Keeper : public OffTheLoop {
 protected:
  void save(std::int64_t attempt, Durable durable) {
    attempt_ = attempt;
    keeper_.save(durable);
  }
  StateKeeper::Uses uses() {
    return {[this] {
              Memory memory;
              memory.state.attempt = attempt_;
              return memory;
            },
            [this](const Memory& memory, Durable durable) -> Result<> {
              done_.push_back(std::to_string(memory.state.attempt) + (durable == Durable::now ? " now" : " later"));
              if (!trouble_.empty()) return make_error(ErrorKind::cannot_write, trouble_);
              return {};
            },
            [this](const std::string& what) { said_.push_back(what); }};
  }
  using Texts = std::vector<std::string>;

  std::int64_t attempt_ = 0;
  std::string trouble_;  // touched while the disk thread rests
  Texts done_;           // the same
  Texts said_;
  StateKeeper keeper_{io_, disk_, "/srv/state", uses()};
};

TEST_F(Keeper, P6_WritesBeforeWhateverIsAskedForAfterIt) {
  save(1, Durable::now);
  disk_.post("launching", [this] { done_.emplace_back("launch 1"); });
  save(2, Durable::now);
  disk_.post("launching", [this] { done_.emplace_back("launch 2"); });
  settle();
  // The first may have been written before the second came, or with it.
  const Texts apart = {"1 now", "launch 1", "2 now", "launch 2"}, together = {"2 now", "launch 1", "launch 2"};
  EXPECT_TRUE(done_ == apart || done_ == together) << testing::PrintToString(done_);
}

TEST_F(Keeper, P8_BehindADiskThatHangsSavesBecomeTheNewestOneInTheFirstOnesPlace) {
  {
    HungDisk hung(disk_);
    for (int attempt = 1; attempt <= 1000; ++attempt) save(attempt, Durable::later);
    disk_.post("launching", [this] { done_.emplace_back("launch"); });
    save(1001, Durable::later);
    EXPECT_EQ(disk_.doing(), "hanging");
  }
  settle();
  EXPECT_EQ(done_, (Texts{"1001 later", "launch"}));
}

TEST_F(Keeper, P6_WhatMustBeDurableStaysSoWhenSomethingNewerTakesItsPlace) {
  {
    HungDisk hung(disk_);
    save(1, Durable::now);
    save(2, Durable::later);
  }
  settle();
  EXPECT_EQ(done_, Texts{"2 now"});
}

TEST_F(Keeper, P6_WhatIsWrittenForNowBecomesDurableAMomentLater) {
  save(1, Durable::later);
  settle();
  EXPECT_EQ(done_, Texts{"1 later"});
  attempt_ = 2;  // it is the newest by then that counts
  run_until([this] {
    settle();
    return done_.size() == 2;
  });
  EXPECT_EQ(done_.back(), "2 now");
}

TEST_F(Keeper, P6_WhatIsToBeWrittenSoonLetsALaunchPassAndIsWrittenAllTheSame) {
  attempt_ = 1;
  keeper_.save_soon();
  disk_.post("launching", [this] { done_.emplace_back("launch"); });
  settle();
  EXPECT_EQ(done_, Texts{"launch"});
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (done_.size() == 1 && std::chrono::steady_clock::now() < until) {
    keeper_.save_soon();  // asked for again and again, it is not put off for ever
    settle();
  }
  EXPECT_EQ(done_, (Texts{"launch", "1 now"}));
  save(2, Durable::later);
  settle();
  EXPECT_EQ(done_.back(), "2 later");
}

TEST_F(Keeper, P9_WhatIsKeptForTheNextSupervisorAloneIsNeverSynced) {
  keeper_.keep();
  settle();
  io_.restart();
  io_.run_for(500ms);  // longer than a save is put off
  settle();
  EXPECT_EQ(done_, Texts{"0 later"});
  save(2, Durable::later);
  keeper_.keep();  // and what is to become durable still does
  run_until([this] {
    settle();
    return done_.back() == "2 now";
  });
}

TEST_F(Keeper, P11_AFailureIsSaidOnceForEachKindUntilASaveWorksAgain) {
  const auto save_with = [this](const std::string& trouble) {
    trouble_ = trouble;
    save(1, Durable::now);
    settle();
  };
  for (const char* trouble : {"full.", "full.", "read-only.", "read-only.", "", "", "full."}) save_with(trouble);
  const std::string failed = "The supervisor's own state was not saved: ";
  EXPECT_EQ(said_, (Texts{failed + "full.", failed + "read-only.", "The supervisor's own state is saved again.",
                          failed + "full."}));
}

}  // namespace
}  // namespace ts::shell
