// What the models directory tells a person.
#include "supervisor/shell/directory_facts.h"

#include "tests/unit/supervisor/model_files.h"

namespace ts::shell {
namespace {

using Names = std::vector<std::string>;

TEST(TheDifferences, AreTheNamesOfWhatDiffersOrIsMissing) {
  const boost::json::object before = {{"threads", 1}, {"isa", "AVX2"}, {"torch", "1.13"}};
  EXPECT_EQ(exactness_differences(before, before), Names{});
  EXPECT_EQ(exactness_differences(before, {{"threads", 2}, {"isa", "AVX2"}, {"torch", "1.13"}}), Names{"threads"});
  EXPECT_EQ(exactness_differences(before, {{"isa", "AVX512"}, {"torch", "1.13"}, {"blas", "x"}}),
            (Names{"threads", "isa", "blas"}));
  EXPECT_EQ(exactness_differences({}, {}), Names{});
  EXPECT_EQ(exactness_differences({{"threads", "1"}}, {{"threads", 1}}), Names{"threads"});
}

class Facts : public ModelFiles {};

TEST_F(Facts, AreNoneWhereThereIsNothing) {
  const auto missing = gather_directory_facts(config);
  EXPECT_FALSE(missing.newest || missing.best);
  std::filesystem::create_directory(models());
  const auto empty = gather_directory_facts(config);
  EXPECT_FALSE(empty.newest || empty.best);
}

TEST_F(Facts, AreTheNewestByNumberAndTheBest) {
  for (const std::int64_t episode : {9, 10}) commit(episode, 2.5);
  commit_best(9, 3.5);
  const auto facts = gather_directory_facts(config);
  ASSERT_TRUE(facts.newest && facts.best);
  EXPECT_EQ(facts.newest->sidecar.episode, 10);
  EXPECT_EQ(facts.newest->path, models("model_ep10.pt").string());
  EXPECT_LT(std::chrono::system_clock::now() - facts.newest->written, std::chrono::hours{1});
  EXPECT_EQ(facts.best->sidecar.episode, 9);
  EXPECT_EQ(facts.best->path, models("best_model.pt").string());
}

TEST_F(Facts, LeaveOutWhatCannotBeRead) {
  commit(10);
  commit(20);
  commit(30);
  damage("model_ep30.json");
  std::filesystem::remove(models("model_ep20.pt"));
  write_text(models("best_model.json"), "{}");
  const auto facts = gather_directory_facts(config);
  ASSERT_TRUE(facts.newest);
  EXPECT_EQ(facts.newest->sidecar.episode, 10);
  EXPECT_FALSE(facts.best);
}

}  // namespace
}  // namespace ts::shell
