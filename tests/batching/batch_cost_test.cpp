#include "lockstep/batching/batch_cost.h"

#include <gtest/gtest.h>

#include "lockstep/models/adapters/lora.h"
#include "models/bigram_model.h"
#include "models/small_models.h"

namespace lockstep::batching {
namespace {

using test::model_of;

constexpr const char* kT5 = test::kSmallConfigs[0];
constexpr const char* kGpt2 = test::kSmallConfigs[1];
constexpr const char* kLlama = test::kSmallConfigs[2];

// Width 8, two layers: c_attn 8 x 24, c_proj 8 x 8, and a feed-forward network of 8 x 32 and 32 x 8.
TEST(BatchCostOfAModel, CountsAMultiplyAddForEachWeightThatATokenPasses) {
  const BatchCost cost = batch_cost(*test::model_of(kGpt2));
  constexpr double kAttention = 8 * 24, kOutput = 8 * 8, kFeedForward = 2 * 8 * 32, kHead = 20 * 8;
  // Behind its attention, the last layer only computes tokens whose next one is a label.
  EXPECT_EQ(cost.input_token, 2 * kAttention + kOutput + kFeedForward);
  EXPECT_EQ(cost.label, kHead + kOutput + kFeedForward);
  EXPECT_EQ(cost.target_token, 0);
}

TEST(BatchCostOfAModel, TokensOfTheSourcePassTheEncoderAndTheKeysAndValuesOfCrossAttention) {
  const BatchCost cost = batch_cost(*test::model_of(kT5));
  constexpr double kProjection = 8 * 8, kFeedForward = 2 * 8 * 16;
  EXPECT_EQ(cost.input_token, 2 * (4 * kProjection + kFeedForward) + 2 * 2 * kProjection);
  EXPECT_EQ(cost.target_token, 2 * (4 * kProjection + 2 * kProjection + kFeedForward));
  EXPECT_EQ(cost.label, 20 * 8);
}

// A score and a value for each feature of all heads, in each of the two layers.
TEST(BatchCostOfAModel, CountsTwoMultiplyAddsForEachFeatureOfAPair) {
  const BatchCost gpt2 = batch_cost(*test::model_of(kGpt2)), llama = batch_cost(*test::model_of(kLlama)),
                  t5 = batch_cost(*test::model_of(kT5));
  EXPECT_EQ(gpt2.input_pair, 2 * 2 * 8);
  EXPECT_EQ(gpt2.target_pair + gpt2.cross_pair, 0);
  EXPECT_EQ(llama.input_pair, 2 * 2 * 16);
  for (const double pair : {t5.input_pair, t5.target_pair, t5.cross_pair}) EXPECT_EQ(pair, 2 * 2 * 8);
}

TEST(BatchCostOfAModel, WorkBesideProductsGrowsWithTheFeatures) {
  const BatchCost cost = batch_cost(*test::model_of(kGpt2));
  const double in_and_out = 2 * (8 + 24) + (8 + 8) + 2 * (8 + 32);
  EXPECT_GT(cost.input_token_overhead, 0);
  const BatchCost wide = batch_cost(*test::model_of(
      R"({"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40, "vocab_size": 20})"));
  EXPECT_EQ(wide.input_token_overhead, 2 * cost.input_token_overhead);
  EXPECT_EQ(wide.input_token, 4 * cost.input_token);
  EXPECT_EQ(std::fmod(cost.input_token_overhead, in_and_out), 0) << "a number for each feature";
}

TEST(BatchCostOfAModel, AnAdapterAddsItsOwnWeights) {
  const auto model = test::model_of(kLlama);
  const BatchCost plain = batch_cost(*model);
  models::add_lora(*model, {.rank = 3, .target_modules = {"gate_proj"}}, 1);
  const BatchCost adapted = batch_cost(*model);
  EXPECT_EQ(adapted.input_token - plain.input_token, 3 * (16 + 24)) << "of the first layer";
  EXPECT_EQ(adapted.label - plain.label, 3 * (16 + 24)) << "of the last layer";
}

TEST(BatchCostOfAModel, APassCostsAsMuchAsSomeTokens) {
  const BatchCost cost = batch_cost(*test::model_of(kGpt2));
  const double tokens = cost.pass / (cost.input_token + cost.target_token + cost.label);
  EXPECT_GE(tokens, 10);
  EXPECT_LE(tokens, 500);
}

TEST(BatchCostOfAModel, AModelOfOtherPartsIsCountedByTokens) {
  const test::BigramModel model(9);
  const BatchCost cost = batch_cost(model);
  EXPECT_EQ(cost.input_token, 1);
  EXPECT_EQ(cost.target_token, 1);
  EXPECT_EQ(cost.label + cost.pass + cost.input_pair, 0);
}

}  // namespace
}  // namespace lockstep::batching
