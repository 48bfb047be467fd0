#include "lockstep/train/checkpoints/resume.h"

#include <gmock/gmock.h>
#include <fstream>

#include "core/captured_log.h"
#include "data/fixtures.h"
#include "lockstep/core/error.h"
#include "lockstep/train/checkpoints/checkpoint.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;
using test::CapturedLog;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class Resume : public testing::Test {
 protected:
  // Saves a checkpoint of the run with `identity_`.
  fs::path save(std::uint64_t step) {
    CheckpointFolder folder(output_dir());
    folder.begin(step, 1);
    TrainerState state{.loop = {.position = {.step = step}},
                       .global_batch_size = 8,
                       .ranks = 1,
                       .identity = identity_,
                       .settings = saved_settings_};
    state.write(folder.partial_path(step));
    folder.commit(step, {describe_file(folder.partial_path(step), kTrainerStateFile)});
    return folder.path(step);
  }
  void damage(const fs::path& checkpoint) { std::ofstream(checkpoint / kTrainerStateFile, std::ios::app) << " "; }
  void leave_run(bool is_finished) {
    TrainerState{.is_finished = is_finished, .identity = identity_}.write(output_dir());
  }
  fs::path output_dir() const { return folder_.path() / "result"; }
  Hyperparameters settings(HyperparameterChoices choices = {}) const {
    choices.insert({"output_dir", output_dir().string()});
    return Hyperparameters::from_choices(choices);
  }
  // Returns the step after which the run resumes, or 0 if it starts anew.
  std::uint64_t resumes_after(const HyperparameterChoices& choices = {}) {
    const auto communicator = make_communicator();
    const auto point = find_resume_point(settings(choices), identity_, *communicator);
    return point ? point->state.loop.position.step : 0;
  }
  std::function<void()> resuming(const HyperparameterChoices& choices = {}) {
    return [this, choices] { resumes_after(choices); };
  }

  test::TemporaryFolder folder_;
  comm::SharedFacts identity_ = {{"seed", "1"}, {"training data", "9 rows"}};
  comm::SharedFacts saved_settings_ = {};
};

TEST_F(Resume, WithoutCheckpointsARunStartsAnew) {
  EXPECT_EQ(resumes_after(), 0U);
  fs::create_directories(output_dir() / "checkpoint-best");
  EXPECT_EQ(resumes_after(), 0U);
}

TEST_F(Resume, AutoTakesTheNewestThatIsWholeAndWarnsOfThoseThatAreNot) {
  save(9);
  save(10);
  EXPECT_EQ(resumes_after(), 10U);
  const fs::path newest = save(1000000);
  damage(newest);
  const test::CapturedLog log;
  EXPECT_EQ(resumes_after(), 10U);
  EXPECT_THAT(log.text(), AllOf(HasSubstr("warning: " + newest.string() + " is skipped: "), HasSubstr("expected"),
                                HasSubstr("bytes")));
}

TEST_F(Resume, NeverStartsAnew) {
  save(3);
  EXPECT_EQ(resumes_after({{"resume_from_checkpoint", "never"}}), 0U);
}

TEST_F(Resume, WhereNoneIsWholeTheRunIsRefusedUnlessItMayOverwrite) {
  damage(save(3));
  const test::CapturedLog log;
  EXPECT_THAT(resuming(), ThrowsMessage<InputError>(
                              AllOf(HasSubstr("expected an intact checkpoint"), HasSubstr("overwrite_output_dir"))));
  EXPECT_EQ(resumes_after({{"overwrite_output_dir", true}}), 0U);
}

TEST_F(Resume, AnotherRunIsRefusedWithTheDifferenceUnlessItMayOverwrite) {
  save(3);
  identity_.front().second = "2";
  EXPECT_THAT(resuming(), ThrowsMessage<InputError>(AllOf(HasSubstr("checkpoint-000003: a checkpoint of another run"),
                                                          HasSubstr("seed: expected 1, found 2"))));
  EXPECT_EQ(resumes_after({{"overwrite_output_dir", true}}), 0U);
}

TEST_F(Resume, AnotherGlobalBatchIsAnotherRun) {
  save(3);
  EXPECT_EQ(resumes_after({{"global_batch_size", 8}}), 3U);
  EXPECT_THAT(resuming({{"global_batch_size", 4}}),
              ThrowsMessage<InputError>(HasSubstr("global_batch_size: expected 8, found 4")));
}

TEST_F(Resume, AnotherOptimizerIsAnotherRun) {
  save(3);  // saved without the key
  EXPECT_EQ(resumes_after({{"optim", "adamw_torch"}}), 3U);
  EXPECT_THAT(resuming({{"optim", "lion"}}),
              ThrowsMessage<InputError>(HasSubstr("optim: expected \"adamw\", found \"lion\"")));
  saved_settings_ = settings({{"optim", "lion"}}).values();
  save(4);
  EXPECT_EQ(resumes_after({{"optim", "lion"}}), 4U);
  EXPECT_THAT(resuming(), ThrowsMessage<InputError>(HasSubstr("optim: expected \"lion\", found \"adamw\"")));
}

TEST_F(Resume, ANamedCheckpointMustBeWholeAndOfThisRun) {
  const fs::path older = save(3);
  save(4);
  EXPECT_EQ(resumes_after({{"resume_from_checkpoint", older.string()}}), 3U);
  damage(older);
  EXPECT_THAT(resuming({{"resume_from_checkpoint", older.string()}}),
              ThrowsMessage<InputError>(HasSubstr(older.string() + ": ")));
  EXPECT_THAT(resuming({{"resume_from_checkpoint", "absent"}}), ThrowsMessage<InputError>(HasSubstr("absent")));
}

TEST_F(Resume, OverwritingBeginsAnewWhereTheRunHadEndedAndGoesOnWhereItHadNot) {
  save(3);
  leave_run(false);
  EXPECT_EQ(resumes_after({{"overwrite_output_dir", true}}), 3U);
  leave_run(true);
  EXPECT_EQ(resumes_after({{"overwrite_output_dir", true}}), 0U);
  EXPECT_EQ(resumes_after(), 3U);
}

TEST_F(Resume, AnUnfinishedRunIsKnownByItsIdentity) {
  EXPECT_FALSE(holds_unfinished_run(output_dir(), identity_));
  leave_run(false);
  EXPECT_TRUE(holds_unfinished_run(output_dir(), identity_));
  EXPECT_FALSE(holds_unfinished_run(output_dir(), {{"seed", "2"}}));
  leave_run(true);
  EXPECT_FALSE(holds_unfinished_run(output_dir(), identity_));
  core::write_file(output_dir() / kTrainerStateFile,
                   R"({"best_metric": null, "epoch": 3.0})");  // as transformers writes it
  EXPECT_FALSE(holds_unfinished_run(output_dir(), identity_));
}

TEST_F(Resume, OtherSettingsThatShapeTheResultsMakeAWarning) {
  Hyperparameters saved = settings({{"learning_rate", 0.5}, {"logging_steps", 3}});
  const ResumePoint point{"checkpoint-000003", {.settings = saved.values()}};
  {
    const test::CapturedLog log;
    warn_about_changed_settings(point, settings({{"learning_rate", 0.5}, {"per_device_train_batch_size", 1}}));
    EXPECT_EQ(log.text(), "");
  }
  const test::CapturedLog log;
  warn_about_changed_settings(point, settings());
  EXPECT_THAT(log.text(), HasSubstr("learning_rate: expected 0.5, found 0.0001"));
}

}  // namespace
}  // namespace lockstep::train
