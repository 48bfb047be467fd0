#include "lockstep/train/checkpoints/trainer_state.h"

#include <gmock/gmock.h>
#include <cmath>

#include "lockstep/core/error.h"

namespace lockstep::train {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TrainerState example() {
  return {.loop = {.position = {.step = 7, .is_evaluated = true},
                   .optimizer_updates = 5,
                   .skipped_steps = 2,
                   .skipped_in_a_row = 1,
                   .loss_scaler = {.scale = 4096, .steps = 6},
                   .best = {.metric = 0.1 + 0.2, .step = 4, .evaluations_since = 3}},
          .global_batch_size = 32,
          .ranks = 4,
          .identity = {{"seed", "1"}, {"training data", "3 rows"}},
          .settings = {{"learning_rate", "0.1"}},
          .epochs = {{"epochs", Json::array()}}};
}

TEST(TrainerState, IsReadAsItWasWritten) {
  const std::string text = example().to_text();
  const TrainerState read = TrainerState::from_text(text, "here");
  EXPECT_EQ(read.to_text(), text);
  EXPECT_EQ(read.loop.best.metric, 0.1 + 0.2);  // exact to the last bit
  EXPECT_EQ(read.identity, example().identity);
  EXPECT_EQ(read.loop.loss_scaler.scale, 4096);
}

TEST(TrainerState, WithoutALossScaleHasTheFirst) {
  Json json = Json::parse(example().to_text());
  json.erase("loss_scale");
  EXPECT_EQ(TrainerState::from_text(json.dump(), "here").loop.loss_scaler.scale, LossScaler::State{}.scale);
}

TEST(TrainerState, WhatIsMalformedIsRefusedByName) {
  const auto changed = [](const char* pointer, const Json& value) {
    Json json = Json::parse(example().to_text());
    json[Json::json_pointer(pointer)] = value;
    return json.dump();
  };
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string("{}"), changed("/step", -1), changed("/step", "7"),
        changed("/version", 2), changed("/loss_scale", 0), changed("/loss_scale", "x"), changed("/best_metric", "x"),
        changed("/ranks", 1e12), changed("/identity/seed", 1), changed("/is_evaluated", nullptr)}) {
    EXPECT_THAT([&] { TrainerState::from_text(text, "here.json"); }, ThrowsMessage<InputError>(HasSubstr("here.json")))
        << text;
  }
}

TEST(BestEvaluation, TakesTheLeastAndCountsThoseSince) {
  BestEvaluation best;
  const auto take = [&](std::uint64_t step, double loss) {
    return best.take({.step = step, .values = {{"loss", loss}}});
  };
  EXPECT_FALSE(take(1, std::nan("")));
  EXPECT_EQ(best.metric, std::nullopt);
  EXPECT_EQ(best.evaluations_since, 1U);
  EXPECT_TRUE(take(2, 3));
  EXPECT_EQ(best.evaluations_since, 0U);
  EXPECT_FALSE(take(3, 3));  // equal, so no improvement
  EXPECT_FALSE(take(4, HUGE_VAL));
  EXPECT_EQ(best.evaluations_since, 2U);
  EXPECT_TRUE(take(5, 2.5));
  EXPECT_EQ(best.step, 5U);
  EXPECT_EQ(best.metric, 2.5);
}

}  // namespace
}  // namespace lockstep::train
