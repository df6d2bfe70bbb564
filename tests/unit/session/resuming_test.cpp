// Where a session begins, what it sets aside for that, and what it refuses without touching anything.
#include <signal.h>

#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

using Episodes = std::vector<std::int64_t>;

class Resuming : public ToySession {
 protected:
  // Runs to the end of `episodes`, as an earlier day did.
  void train(std::int64_t episodes) {
    config.training.episodes = episodes;
    ASSERT_EQ(run().code, 0);
  }
  std::size_t files_below(const std::string& name) const { return exists(name) ? contents_of(models(name)).size() : 0; }
  const ResumeRequest plain_{ResumeRequest::Kind::none, ""};
  const ResumeRequest fresh_{ResumeRequest::Kind::fresh, ""};
};

TEST_F(Resuming, SaysWhereItGoesOn) {
  train(6);
  config.training.episodes = 10;
  const Outcome outcome = run();
  EXPECT_TRUE(outcome.said("Auto-resuming from episode 6: " + models("model_ep6.pt").string() + "\n"));
  EXPECT_TRUE(outcome.said("Resuming training from episode 7/10\n"));
}

TEST_F(Resuming, StartsInAnEmptyDirectory) {
  EXPECT_TRUE(run(plain_).said("Starting training: 10 episodes"));
  std::filesystem::remove_all(models());
  EXPECT_EQ(run().code, 0);  // also where there is none yet
}

TEST_F(Resuming, IsNotDoneUnasked) {
  train(6);
  const auto before = contents_of(models());
  const Outcome outcome = run(plain_);
  EXPECT_EQ(outcome.code, 78);
  for (const auto* way : {"--auto-resume", "--resume", "--fresh"}) EXPECT_TRUE(outcome.said(way)) << outcome.output;
  EXPECT_EQ(contents_of(models()), before);
}

TEST_F(Resuming, FromAnotherArchitectureIsRefusedAndChangesNothing) {
  train(6);
  const auto before = contents_of(models());
  task = ToyTask(7);
  for (const auto& resume :
       {ResumeRequest{ResumeRequest::Kind::automatic, ""}, ResumeRequest{ResumeRequest::Kind::selector, "ep3"},
        ResumeRequest{ResumeRequest::Kind::selector, "best"}}) {
    config.training.episodes = 10;
    const Outcome outcome = run(resume);
    EXPECT_EQ(outcome.code, 65);
    EXPECT_TRUE(outcome.said("\"model.weights\" is float32 [5] in the checkpoint, float32 [7] was expected"));
    EXPECT_EQ(contents_of(models()), before);
  }
}

TEST_F(Resuming, OfAFinishedTrainingWritesNothing) {
  train(10);
  const auto before = contents_of(models());
  for (int i = 0; i < 2; ++i) {
    const Outcome outcome = run();
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(outcome.said("Training is finished: 10/10")) << outcome.output;
    EXPECT_EQ(contents_of(models()), before);
  }
}

TEST_F(Resuming, FromAnOlderOneSetsTheNewerOnesAside) {
  train(10);
  raise_at(SIGTERM, 5);
  const Outcome outcome = run_from("ep3");
  EXPECT_EQ(outcome.code, 75);
  EXPECT_EQ(episodes(), (Episodes{3, 4}));
  EXPECT_GE(files_below("superseded"), 6U);  // three pairs, and the best model where it was newer
  EXPECT_LE(best_sidecar().episode, 4);
}

TEST_F(Resuming, FromWhatIsNotThereNamesWhatIs) {
  train(10);
  const auto before = contents_of(models());
  for (const auto* selector : {"ep4", "ep11", "/no/such/file.pt"}) {
    const Outcome outcome = run_from(selector);
    EXPECT_EQ(outcome.code, 65) << selector;
    EXPECT_TRUE(outcome.said("ep10, ep9, ep6, ep3, best")) << outcome.output;
    EXPECT_EQ(contents_of(models()), before);
  }
  EXPECT_NE(run_from("newest").code, 0);
  EXPECT_EQ(contents_of(models()), before);
}

TEST_F(Resuming, FreshSetsAllAsideAndDeletesNothing) {
  train(10);
  const std::string old_run = sidecar(10).run_id;
  const std::string old_archive = archive(10);
  const std::size_t files = contents_of(models()).size();
  raise_at(SIGTERM, 5);
  EXPECT_EQ(run(fresh_).code, 75);
  EXPECT_EQ(episodes(), (Episodes{3, 4}));
  EXPECT_NE(sidecar(3).run_id, old_run);
  EXPECT_EQ(files_below("superseded"), files);
  const auto kept = contents_of(models("superseded"));
  EXPECT_TRUE(std::any_of(kept.begin(), kept.end(), [&](const auto& file) { return file.second == old_archive; }));
}

TEST_F(Resuming, IsRefusedWhenNothingThereIsValid) {
  train(3);
  std::filesystem::resize_file(models("model_ep3.pt"), 10);
  const auto before = contents_of(models());
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 65);
  EXPECT_TRUE(outcome.said("--fresh")) << outcome.output;
  EXPECT_EQ(contents_of(models()), before);
}

TEST_F(Resuming, QuarantinesWhatIsDamaged) {
  train(10);
  write_text(models("model_ep10.pt"), "no archive at all");
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(files_below("quarantine"), 3U);        // and why.txt
  EXPECT_EQ(episodes(), (Episodes{3, 6, 9, 10}));  // trained again
}

// P4.
TEST_F(Resuming, IsRefusedWhileAnotherHoldsTheDirectory) {
  train(3);
  config.training.episodes = 10;
  const auto held = checkpoint::Directory::open(models(), checkpoint::Directory::Create::no);
  const auto lock = checkpoint::DirectoryLock::acquire(held.value(), "another-trainer");
  ASSERT_TRUE(lock.has_value());
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 74);
  EXPECT_TRUE(outcome.said("another-trainer with process id")) << outcome.output;
  EXPECT_EQ(episodes(), (Episodes{3}));
}

// What a checkpoint says inside and what it is called outside must be one.
TEST_F(Resuming, RefusesACheckpointThatIsNotWhatItClaims) {
  train(3);
  std::filesystem::copy_file(models("model_ep3.pt"), models("model_ep5.pt"));
  std::string record = read_text(models("model_ep3.json"));
  for (const auto& [from, to] : {std::pair{"\"episode\": 3", "\"episode\": 5"}, {"model_ep3.pt", "model_ep5.pt"}}) {
    record.replace(record.find(from), std::string(from).size(), to);
  }
  write_text(models("model_ep5.json"), record);
  config.training.episodes = 10;
  const auto before = contents_of(models());
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 65);
  EXPECT_TRUE(outcome.said("says episode 3 inside and 5 in its sidecar")) << outcome.output;
  EXPECT_TRUE(outcome.said("Nothing was changed. Move both its files elsewhere, or ")) << outcome.output;
  EXPECT_EQ(contents_of(models()), before);
}

TEST_F(Resuming, TakesAFileFromElsewhereThatIsNamed) {
  train(6);
  const auto elsewhere = directory / "given.pt";
  std::filesystem::copy_file(models("model_ep6.pt"), elsewhere);
  const std::string expected = uninterrupted(10);
  std::filesystem::remove_all(models());
  config.training.episodes = 10;
  const Outcome outcome = run_from(elsewhere.string());
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_TRUE(outcome.said("Resuming training from episode 7/10"));
  EXPECT_EQ(archive(10), expected);
  std::filesystem::resize_file(elsewhere, std::filesystem::file_size(elsewhere) - 1);
  EXPECT_EQ(run_from(elsewhere.string()).code, 65);
}

TEST_F(Resuming, BeginsAgainWhenTheFirstSaveNeverCameToItsCommit) {
  train(3);
  for (const auto* name : {"model_ep3.json", "best_model.pt", "best_model.json"}) {
    std::filesystem::remove(models(name));
  }
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.said("rejected episode 3")) << outcome.output;
  EXPECT_TRUE(outcome.said("Starting training")) << outcome.output;
  EXPECT_EQ(files_below("quarantine"), 2U);  // and why.txt
}

// A model from elsewhere is where training begins, and stays it when the first episodes are lost.
TEST_F(Resuming, FromAModelOfAnotherOriginBeginsWithItsWeights) {
  const std::vector<float> weights = {5.0F, 4.0F, 3.0F, 2.0F, 1.0F};
  checkpoint::Dict model;
  model.add("weights", checkpoint::view_of(checkpoint::DType::float32, weights));
  const auto path = directory / "trained_elsewhere.pt";
  const auto bytes = checkpoint::write_archive(model);
  write_text(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});

  raise_at(SIGKILL, 2);
  EXPECT_EQ(run_from(path.string()).signal, SIGKILL);
  EXPECT_EQ(episodes(), (Episodes{0}));
  calm_down();
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.said("Auto-resuming from episode 0: ")) << outcome.output;
  EXPECT_TRUE(outcome.said("Starting training: 10 episodes")) << outcome.output;
  const std::string interrupted = archive(10);

  std::filesystem::remove_all(models());
  const Outcome undisturbed = run_from(path.string());
  EXPECT_TRUE(undisturbed.said("Starting from the model in " + path.string() + ": its weights are taken over."))
      << undisturbed.output;
  EXPECT_TRUE(archive(10) == interrupted);
  EXPECT_FALSE(archive(10) == uninterrupted(10));  // it did begin with other weights
}

TEST_F(Resuming, FromAModelThatDoesNotFitIsRefusedAndChangesNothing) {
  train(6);
  const auto before = contents_of(models());
  checkpoint::Dict model;
  const std::vector<float> weights(9, 1.0F);
  model.add("weights", checkpoint::view_of(checkpoint::DType::float32, weights));
  const auto bytes = checkpoint::write_archive(model);
  write_text(directory / "other.pt", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const Outcome outcome = run_from((directory / "other.pt").string());
  EXPECT_EQ(outcome.code, 65);
  EXPECT_TRUE(outcome.said("\"weights\" is float32 [9] in the checkpoint, float32 [5] was expected")) << outcome.output;
  EXPECT_EQ(contents_of(models()), before);
}

}  // namespace
}  // namespace ts::session
