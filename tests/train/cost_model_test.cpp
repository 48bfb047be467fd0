#include "lockstep/train/cost_model.h"

#include <gmock/gmock.h>

#include "lockstep/models/model.h"
#include "lockstep/sharding/layer_gathering.h"
#include "lockstep/train/optimizers/optimizer.h"
#include "models/small_models.h"

namespace lockstep::train {
namespace {

using job::OptimizerSharding;
using testing::DoubleNear;

constexpr double kBucket = 25e6;

// A model of 1e9 parameters on a machine of 1e13 flop/s: 1e12 multiply-adds take 0.2 s forward and 0.4 s backward. The
// gradients are 4e9 bytes, which a link of 1e10 bytes/s sends in 0.4 s.
const ModelSize kBillion{.parameters = 1e9,
                         .trained = 1e9,
                         .in_layers = 9e8,
                         .largest_layer = 5e7,
                         .activation_features = 1e6,
                         .shardable_state = 2e9};
const StepWork kWork{
    .multiply_adds = 1e12, .mean_multiply_adds = 1e12, .tokens = 1000, .passes = 1, .largest_micro_batch = 500};
const Machine kMachine{.flops = 1e13, .link_bytes_per_second = 1e10};

StepEstimate estimate(int ranks, OptimizerSharding sharding, const StepWork& work = kWork,
                      const Machine& machine = kMachine) {
  return estimate_step(kBillion, work, machine, ranks, sharding, kBucket);
}

TEST(CostModel, ARankAloneComputes) {
  for (const auto& [sharding, name] : job::NamesOf<OptimizerSharding>::kNames) {
    const StepEstimate found = estimate(1, sharding);
    EXPECT_DOUBLE_EQ(found.compute_s, 0.6);
    EXPECT_EQ(found.communication_s, 0);
    EXPECT_DOUBLE_EQ(found.step_s, 0.6);
    EXPECT_DOUBLE_EQ(found.tokens_per_second, 1000 / 0.6);
    EXPECT_DOUBLE_EQ(found.efficiency, 1);
  }
}

// Weight, gradient and two moments take 16 bytes per parameter; activations take 4 x 1e6 x 500 bytes.
TEST(CostModel, MemoryIsWhatRanksDoNotShare) {
  constexpr double kActivations = 2e9;
  EXPECT_THAT(estimate(8, OptimizerSharding::kNone).memory_bytes, DoubleNear(16e9 + kActivations, 1));
  EXPECT_THAT(estimate(8, OptimizerSharding::kState).memory_bytes, DoubleNear(8e9 + 1e9 + kActivations, 1));
  EXPECT_THAT(estimate(8, OptimizerSharding::kStateAndGradients).memory_bytes,
              DoubleNear(4e9 + 1.5e9 + 5 * kBucket + kActivations, 1));
  EXPECT_THAT(estimate(8, OptimizerSharding::kFull).memory_bytes,
              DoubleNear(2e9 + 4 * 1e8 * 7 / 8 + 3 * 4 * 5e7 + 5 * kBucket + kActivations, 1));
}

// T5's decoder keeps per token, all of width 8: queries, keys, values, the output of attention and its sum with the
// residual; for cross-attention the same without keys and values; for the feed-forward layer 16 and 8. GPT-2 keeps 10
// per feature and layer. In Llama, 2 of 4 heads have keys, and the feed-forward layer has two projections of 24.
TEST(CostModel, ActivationsAreWhatProjectionsAndAttentionGive) {
  const std::vector<double> of_a_layer = {5 * 8 + 3 * 8 + 16 + 8, 10 * 8, 16 + 8 + 8 + 16 + 16 + 24 + 24 + 16};
  for (std::size_t i = 0; i < of_a_layer.size(); ++i) {
    const ModelSize size = measure_model(*test::model_of(test::kSmallConfigs[i]), job::Optim::kAdamW);
    EXPECT_EQ(size.activation_features, 2 * of_a_layer[i]) << test::kSmallConfigs[i];
  }
}

TEST(CostModel, MemoryCountsWhatTheOptimizerRemembers) {
  const auto bytes_beyond = [](const ModelSize& model, OptimizerSharding sharding) {
    ModelSize without = model;
    without.shardable_state = without.replicated_state = 0;
    const auto memory = [&](const ModelSize& size) {
      return estimate_step(size, kWork, kMachine, 8, sharding, kBucket).memory_bytes;
    };
    return memory(model) - memory(without);
  };
  struct Shapes : LanguageModel {
    Shapes() : LanguageModel({}) {
      register_parameter("weight", torch::empty({1000, 3000}));
      register_parameter("bias", torch::empty({800}));
    }
    void initialise_weights(const at::Generator&) override {}
    at::Tensor logits(const models::Batch&, models::Pass&) override { return {}; }
    at::Tensor loss_sum(const models::Batch&, models::Pass&) override { return {}; }
    at::Tensor row_loss_sums(const models::Batch&, models::Pass&) override { return {}; }
    Started start_decoding(const at::Tensor&, const at::Tensor&, models::Pass&) override { return {}; }
    at::Tensor decode_step(models::DecodingState&, const at::Tensor&, models::Pass&) override { return {}; }
  };
  const Shapes model;
  constexpr double kElements = 3e6 + 800;
  EXPECT_DOUBLE_EQ(bytes_beyond(measure_model(model, job::Optim::kAdamW), OptimizerSharding::kNone), 8 * kElements);
  EXPECT_DOUBLE_EQ(bytes_beyond(measure_model(model, job::Optim::kAdamW), OptimizerSharding::kState), kElements);
  EXPECT_DOUBLE_EQ(bytes_beyond(measure_model(model, job::Optim::kLion), OptimizerSharding::kState), kElements / 2);
  EXPECT_DOUBLE_EQ(bytes_beyond(measure_model(model, job::Optim::kAdafactor), OptimizerSharding::kNone),
                   4 * (4000 + 800));
  EXPECT_DOUBLE_EQ(bytes_beyond(measure_model(model, job::Optim::kAdafactor), OptimizerSharding::kState),
                   4 * (4000 + 100));
}

TEST(CostModel, StateIsThatOfTheOptimizer) {
  const auto model = test::model_of(test::kSmallConfigs[0]);
  const sharding::ParameterLayout layout(sharding::parameters_by_layer(*model));
  std::vector<at::Tensor> own;
  for (const auto& bucket : layout.buckets()) own.push_back(torch::zeros({bucket.size}));
  for (const job::OptimizerFacts& facts : job::kOptimizers) {
    Hyperparameters hyperparameters;
    hyperparameters.optim = facts.optim;
    const auto optimizer =
        make_optimizer({layout, sharding::Ownership::replicated(layout), own, hyperparameters, make_communicator()});
    double elements = 0;
    for (const auto& [name, size] : optimizer->state_sizes()) elements += static_cast<double>(size);
    const ModelSize predicted = measure_model(*model, facts.optim);
    EXPECT_EQ(predicted.shardable_state + predicted.replicated_state, elements) << facts.title;
  }
}

// With 10 layers, 1,000 features are kept for each, and everything for one of them; forward is computed twice.
TEST(CostModel, RecomputedLayersTakeTimeInsteadOfMemory) {
  ModelSize model = kBillion;
  model.layers = 10;
  model.hidden_features = 1000;
  model.layer_kept_features = 1e5;
  StepWork work = kWork;
  work.recomputes_layers = true;
  const StepEstimate found = estimate_step(model, work, kMachine, 1, OptimizerSharding::kNone, kBucket);
  EXPECT_DOUBLE_EQ(found.memory_bytes, 16e9 + 4 * (10 * 1000 + 1e5) * 500);
  EXPECT_DOUBLE_EQ(found.compute_s, 0.8);
}

// An all-reduce of two ranks takes 2 x 1/2 x 0.4 s, as long as backward; its last bucket, 1/160 of it, is exposed.
TEST(CostModel, TheSumHidesBehindBackward) {
  const StepEstimate found = estimate(2, OptimizerSharding::kNone);
  EXPECT_DOUBLE_EQ(found.communication_s, 0.4);
  EXPECT_DOUBLE_EQ(found.step_s, 0.6 + 0.4 / 160);
}

// On a link of half the rate the all-reduce takes 0.8 s, of which backward hides 0.4 s.
TEST(CostModel, WhatBackwardDoesNotHideIsLeft) {
  const Machine slow{.flops = 1e13, .link_bytes_per_second = 5e9};
  EXPECT_DOUBLE_EQ(estimate(2, OptimizerSharding::kNone, kWork, slow).step_s, 1.0);
  // Half of it is sent during backward, and half arrives during forward, which hides 0.2 s.
  EXPECT_DOUBLE_EQ(estimate(2, OptimizerSharding::kState, kWork, slow).step_s, 0.6 + 0.4 / 160 + 0.2);
  // 9/10 of the parameters are sent twice and 1/10 once, plus the gradients: 2.9 x 0.4 s, in a step of 0.6 s.
  EXPECT_DOUBLE_EQ(estimate(2, OptimizerSharding::kFull, kWork, slow).step_s, 1.16);
}

// A fast link hides everything except the last bucket and what the first layer waits for: the 1/10 of the parameters
// outside of layers, and its own 1/20. One pass around the ring takes 0.02 s.
TEST(CostModel, TheFirstLayerWaitsForItsParameters) {
  const Machine fast{.flops = 1e13, .link_bytes_per_second = 1e11};
  for (const auto sharding : {OptimizerSharding::kState, OptimizerSharding::kFull}) {
    EXPECT_DOUBLE_EQ(estimate(2, sharding, kWork, fast).step_s, 0.6 + 0.02 * (0.15 + 1.0 / 160))
        << job::name_of(sharding);
  }
}

TEST(CostModel, OnlyTheLastMicroBatchHidesASumOfAllGradients) {
  StepWork work = kWork;
  work.passes = 4;
  EXPECT_DOUBLE_EQ(estimate(2, OptimizerSharding::kNone, work).step_s, 0.6 + 0.4 - 0.1);
  // Sharded gradients are summed in every pass: 4 x 0.2 s, of which backward as a whole hides 0.4 s.
  EXPECT_DOUBLE_EQ(estimate(2, OptimizerSharding::kStateAndGradients, work).step_s, 0.6 + 0.4 + (0.2 - 0.05));
}

TEST(CostModel, ManyRanksSendTwiceTheGradients) {
  EXPECT_DOUBLE_EQ(estimate(100, OptimizerSharding::kNone).communication_s, 2 * 0.99 * 0.4);
  EXPECT_DOUBLE_EQ(estimate(100, OptimizerSharding::kFull).communication_s, 2.9 * 0.99 * 0.4);
}

TEST(CostModel, EfficiencyCountsImbalanceAndMessages) {
  StepWork work = kWork;
  work.mean_multiply_adds = 0.9e12;
  EXPECT_DOUBLE_EQ(estimate(1, OptimizerSharding::kNone, work).efficiency, 0.9);
  const Machine slow{.flops = 1e13, .link_bytes_per_second = 5e9};
  EXPECT_DOUBLE_EQ(estimate(2, OptimizerSharding::kNone, work, slow).efficiency, 0.9 * 0.6);
}

}  // namespace
}  // namespace lockstep::train
