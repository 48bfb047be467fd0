#include "lockstep/train/activation_plan.h"

#include <gtest/gtest.h>

#include "models/bigram_model.h"

namespace lockstep::train {
namespace {

// A token takes 4000 bytes, or 400 if layers are recomputed: 50 numbers between layers and 50 within one.
const ModelSize kModel{.activation_features = 1000, .layers = 5, .layer_kept_features = 50, .hidden_features = 10};
constexpr double kOfAToken = 4000, kHeld = 16e6;
constexpr std::uint64_t kEnough = 4096;

ActivationPlan plan(double tokens_that_fit, const HyperparameterChoices& choices = {}, std::uint64_t longest = 100) {
  const RankMemory memory{.usable = kHeld + 2 * kOfAToken * tokens_that_fit, .held = kHeld};
  return plan_activations(kModel, Hyperparameters::from_choices(choices), memory, kEnough, longest);
}

TEST(ActivationPlan, TakesHalfOfTheMemoryThatIsLeft) {
  EXPECT_EQ(plan(1000).max_tokens, 1000U);
  EXPECT_EQ(plan(2000).max_tokens, 2000U);
  EXPECT_EQ(plan(300, {{"gradient_checkpointing", true}}).max_tokens, 3000U);
}

TEST(ActivationPlan, EndsWhereMoreIsNoFasterAndWhereLessIsSlow) {
  EXPECT_EQ(plan(1e6).max_tokens, kEnough);
  EXPECT_EQ(plan(-100).max_tokens, 256U);
  EXPECT_EQ(plan_activations(kModel, {}, {.usable = 0, .held = kHeld}, kEnough, 100).max_tokens, kEnough);  // unknown
  EXPECT_EQ(plan_activations({}, {}, {.usable = 1e9}, kEnough, 100).max_tokens,
            kEnough);  // a model without projections
}

TEST(ActivationPlan, RecomputesLayersAsTheJobSays) {
  EXPECT_FALSE(plan(10).recomputes_layers);
  EXPECT_TRUE(plan(1e6, {{"gradient_checkpointing", true}}).recomputes_layers);
}

TEST(ActivationPlan, AutoRecomputesLayersWhereWhatIsNeededDoesNotFit) {
  const HyperparameterChoices choices = {{"gradient_checkpointing", "auto"}};
  EXPECT_FALSE(plan(257, choices).recomputes_layers);
  EXPECT_TRUE(plan(255, choices).recomputes_layers);
  EXPECT_EQ(plan(255, choices).max_tokens, 2550U);
  EXPECT_FALSE(plan(1001, choices, 1000).recomputes_layers);
  EXPECT_TRUE(plan(999, choices, 1000).recomputes_layers);
  EXPECT_FALSE(plan_activations(kModel, Hyperparameters::from_choices(choices), {}, kEnough, 1000).recomputes_layers);
  HyperparameterChoices asked = choices;
  asked["max_tokens_per_micro_batch"] = 2000;
  EXPECT_TRUE(plan(1999, asked).recomputes_layers);
  EXPECT_FALSE(plan(2001, asked).recomputes_layers);
  EXPECT_EQ(plan(1999, asked).max_tokens, 2000U);
}

TEST(ActivationPlan, IsThatOfTheJob) {
  const test::BigramModel model(11);
  const auto communicator = make_communicator();
  const data::InMemoryTokenizedDataset rows({}, /*has_encoder=*/false, "digest");
  const auto choices = Hyperparameters::from_choices({{"max_tokens_per_micro_batch", 7}});
  EXPECT_EQ(agree_on_activations(model, rows, choices, *communicator).max_tokens, 7U);
  EXPECT_EQ(agree_on_activations(model, rows, {}, *communicator).max_tokens, kMaxTokensOnHost);
}

}  // namespace
}  // namespace lockstep::train
