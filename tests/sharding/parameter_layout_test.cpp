#include "lockstep/sharding/parameter_layout.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "lockstep/sharding/gradient_reducer.h"

namespace lockstep::sharding {
namespace {

std::vector<std::string> names(const ParameterLayout& layout, bool decayed) {
  std::vector<std::string> result;
  for (const auto& entry : layout.entries()) {
    for (const auto& stretch : layout.buckets()[entry.bucket].stretches) {
      const bool is_within = stretch.part.begin <= entry.offset && entry.offset < stretch.part.end;
      if (is_within && stretch.decayed == decayed) result.push_back(entry.name);
    }
  }
  return result;
}

at::Tensor parameter(at::IntArrayRef shape) { return at::ones(shape).requires_grad_(); }

TEST(ParameterLayout, GroupsAsTheHuggingFaceTrainerDoes) {
  const ParameterLayout layout({{"shared.weight", parameter({4, 3})},
                                {"layer_norm.weight", parameter({3})},
                                {"relative_attention_bias.weight", parameter({8, 2})},
                                {"c_attn.weight", parameter({3, 9})},
                                {"c_attn.bias", parameter({9})}});
  EXPECT_THAT(names(layout, true), testing::ElementsAre("shared.weight", "c_attn.weight"));
  EXPECT_THAT(names(layout, false),
              testing::ElementsAre("layer_norm.weight", "relative_attention_bias.weight", "c_attn.bias"));
}

TEST(ParameterLayout, EntriesAreAlignedAndDoNotOverlap) {
  const ParameterLayout layout({{"a", parameter({5, 3})}, {"b", parameter({2, 2})}, {"c", parameter({7})}});
  ASSERT_EQ(layout.buckets().size(), 1U);
  std::int64_t end = 0;
  for (const auto& entry : layout.entries()) {
    EXPECT_GE(entry.offset, end);
    EXPECT_EQ(entry.offset % 16, 0);
    end = entry.offset + entry.parameter.numel();
  }
  EXPECT_GE(layout.buckets().front().size, end);
}

TEST(ParameterLayout, BucketsHoldWholeUnitsOrAStretchOfOne) {
  const std::vector<NamedParameter> parameters = {{"layer2", parameter({4, 4}), 2},
                                                  {"head", parameter({4, 4})},
                                                  {"layer1.bias", parameter({4}), 1},
                                                  {"layer1", parameter({4, 4}), 1},
                                                  {"layer1.more", parameter({8, 4}), 1}};
  const auto places = [&](const BucketOptions& options) {
    const ParameterLayout layout(parameters, options);
    std::vector<std::pair<std::string, std::size_t>> result;
    for (const auto& entry : layout.entries()) result.emplace_back(entry.name, entry.bucket);
    return result;
  };
  using testing::ElementsAre;
  using testing::Pair;
  // The head, layer 2 and the bias take 64 bytes each, layer1.more takes 128. Layer 1 does not fit into the head's
  // bucket; layer 2 fits into that of layer1.more.
  EXPECT_THAT(places({.bytes = 192}), ElementsAre(Pair("head", 0), Pair("layer1.bias", 1), Pair("layer1", 1),
                                                  Pair("layer1.more", 2), Pair("layer2", 2)));
  EXPECT_THAT(places({.bytes = 1}), ElementsAre(Pair("head", 0), Pair("layer1.bias", 1), Pair("layer1", 2),
                                                Pair("layer1.more", 3), Pair("layer2", 4)));
  EXPECT_THAT(places({.spans_units = false}), ElementsAre(Pair("head", 0), Pair("layer1.bias", 1), Pair("layer1", 1),
                                                          Pair("layer1.more", 1), Pair("layer2", 2)));
  EXPECT_THAT(places({}), testing::Each(Pair(testing::_, 0)));
  const ParameterLayout layout(parameters, {.bytes = 192});
  EXPECT_THAT(layout.buckets_of(0), ElementsAre(0));
  EXPECT_THAT(layout.buckets_of(1), ElementsAre(1, 2));
  EXPECT_THAT(layout.buckets_of(2), ElementsAre(2));
}

TEST(ParameterLayout, BiasesShareTheBucketOfAWeightHoweverLargeItIs) {
  const std::vector<NamedParameter> parameters = {
      {"weight", parameter({64, 64})}, {"bias", parameter({64})}, {"more", parameter({64, 64})}};
  const ParameterLayout layout(parameters, {.bytes = 64 * 64 * 4});
  EXPECT_THAT(layout.buckets(), testing::SizeIs(2));
  EXPECT_EQ(layout.entries()[0].name, "bias");
  EXPECT_EQ(layout.entries()[1].bucket, 0U);
}

TEST(ParameterLayout, CountsTiedWeightsOnceAndFrozenOnesNotAtAll) {
  const at::Tensor tied = parameter({3, 3});
  const ParameterLayout layout({{"embed", tied}, {"head", tied}, {"frozen", at::ones({2, 2})}});
  ASSERT_EQ(layout.entries().size(), 1U);
  EXPECT_EQ(layout.entries().front().name, "embed");
}

TEST(GradientReducer, BackwardAddsIntoTheFlatBuffer) {
  const at::Tensor weight = parameter({2, 2});
  const ParameterLayout layout({{"weight", weight}});
  GradientReducer reducer(layout, Ownership::replicated(layout), make_communicator());
  for (const bool is_last : {false, true}) {
    reducer.begin_pass(is_last);
    (weight * 3).sum().backward();
    reducer.end_pass();
  }
  EXPECT_EQ(reducer.gradients().front().narrow(0, 0, 4).sum().item<float>(), 24);
  reducer.finish();
  EXPECT_EQ(reducer.norm(), 12);
  reducer.scale(0.5);
  EXPECT_EQ(reducer.norm(), 6);
  reducer.scale(2);
  EXPECT_EQ(weight.grad().sum().item<float>(), 24);
  reducer.zero();
  EXPECT_EQ(weight.grad().sum().item<float>(), 0);
}

}  // namespace
}  // namespace lockstep::sharding
