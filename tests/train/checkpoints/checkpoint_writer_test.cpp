#include "lockstep/train/checkpoints/checkpoint_writer.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <torch/torch.h>
#include <csignal>
#include <filesystem>
#include <thread>
#include <vector>

#include "core/captured_log.h"
#include "data/fixtures.h"
#include "lockstep/train/checkpoints/resume.h"
#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Limits the size of files during its lifetime, which fails like a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

std::vector<sharding::NamedParameter> named(const LanguageModel& model) {
  std::vector<sharding::NamedParameter> parameters;
  for (const auto& parameter : model.named_parameters()) parameters.push_back({parameter.key(), parameter.value()});
  return parameters;
}

class CheckpointWriterTest : public testing::Test {
 protected:
  CheckpointWriter writer(CheckpointOptions options = {}) {
    options.output_dir = folder_.path();
    options.describe = [](const LoopState& state) { return TrainerState{.loop = state, .ranks = 1}; };
    return {trained_, std::move(options), communicator_};
  }
  void begin(CheckpointWriter& writer, std::uint64_t step, const BestEvaluation& best = {}) {
    writer.begin({.position = {.step = step}, .best = best}, layout_, ownership_, parameters_, *optimizer_);
  }
  fs::path path(std::uint64_t step) const { return folder_.path() / checkpoint_name(step); }
  std::vector<std::uint64_t> steps() const { return CheckpointFolder(folder_.path()).steps(); }

  test::TemporaryFolder folder_;
  TrainedModel trained_ = TrainedModel::create(fs::path(LOCKSTEP_EXAMPLES) / "models" / "scan-t5", 1);
  std::shared_ptr<Communicator> communicator_ = make_communicator();
  sharding::ParameterLayout layout_{named(*trained_.model)};
  sharding::Ownership ownership_ = sharding::Ownership::replicated(layout_);
  sharding::FlatParameters parameters_{layout_, ownership_, communicator_, false};
  std::unique_ptr<Optimizer> optimizer_ =
      make_optimizer({layout_, ownership_, parameters_.own(), Hyperparameters(), communicator_});
};

TEST_F(CheckpointWriterTest, WhatTrainingChangesMeanwhileIsNotInIt) {
  const torch::NoGradGuard no_grad;
  const auto before = trained_.model->named_parameters()["shared.weight"].clone();
  CheckpointWriter writing = writer();
  begin(writing, 7);
  for (auto& parameter : trained_.model->parameters()) parameter.fill_(3);
  EXPECT_EQ(writing.finish(), "");
  EXPECT_EQ(find_defect(path(7)), "");
  const auto saved = TrainedModel::load(path(7));
  EXPECT_TRUE(saved.model->named_parameters()["shared.weight"].equal(before));
  EXPECT_EQ(TrainerState::read(path(7)).loop.position.step, 7U);
}

TEST_F(CheckpointWriterTest, IsPutInPlaceOnceAllPartsAreWritten) {
  CheckpointWriter writing = writer();
  EXPECT_EQ(writing.local_progress(), 0);
  begin(writing, 1);
  writing.apply_progress(0);
  while (writing.local_progress() == 0) std::this_thread::yield();
  EXPECT_THAT(steps(), IsEmpty());
  writing.apply_progress(1);
  EXPECT_EQ(writing.local_progress(), 0);
  EXPECT_EQ(writing.finish(), "");
  EXPECT_THAT(steps(), ElementsAre(1));
}

TEST_F(CheckpointWriterTest, AWriteThatFailsIsAWarningAndOlderOnesStay) {
  std::signal(SIGXFSZ, SIG_IGN);
  CheckpointWriter writing = writer({.total_limit = 1});
  begin(writing, 1);
  EXPECT_EQ(writing.finish(), "");
  const test::CapturedLog log;
  {
    const FileSizeLimit limit(1 << 20);
    begin(writing, 2);
    EXPECT_THAT(writing.finish(), AllOf(HasSubstr("rank 0 on "), HasSubstr("model.safetensors"), HasSubstr("write")));
  }
  EXPECT_THAT(log.text(), HasSubstr("warning: checkpoint-000002 was not saved: "));
  EXPECT_THAT(steps(), ElementsAre(1));
  EXPECT_EQ(find_defect(path(1)), "");
  begin(writing, 3);
  EXPECT_EQ(writing.finish(), "");
  EXPECT_THAT(steps(), ElementsAre(3));
  for (const auto& entry : fs::directory_iterator(folder_.path())) EXPECT_EQ(entry.path(), path(3));
}

TEST_F(CheckpointWriterTest, KeepsTheNewestAndTheBest) {
  CheckpointWriter writing = writer({.total_limit = 2, .keeps_best = true});
  for (std::uint64_t step = 1; step <= 6; ++step) begin(writing, step, {.metric = 1, .step = 2});
  EXPECT_EQ(writing.finish(), "");
  EXPECT_THAT(steps(), ElementsAre(2, 5, 6));
}

}  // namespace
}  // namespace lockstep::train
