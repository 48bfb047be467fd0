#include "lockstep/comm/parameter_layout.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "lockstep/comm/gradient_reducer.h"

namespace lockstep {
namespace {

std::vector<std::string> names(const ParameterLayout& layout, bool decayed) {
  std::vector<std::string> result;
  for (const auto& entry : layout.entries()) {
    if ((entry.offset < layout.decayed_size()) == decayed) result.push_back(entry.name);
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

TEST(ParameterLayout, PartsAreAlignedAndDoNotOverlap) {
  const ParameterLayout layout({{"a", parameter({5, 3})}, {"b", parameter({2, 2})}, {"c", parameter({7})}});
  std::int64_t end = 0;
  for (const auto& entry : layout.entries()) {
    EXPECT_GE(entry.offset, end);
    EXPECT_EQ(entry.offset % 16, 0);
    end = entry.offset + entry.parameter.numel();
  }
  EXPECT_GE(layout.size(), end);
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
  GradientReducer reducer(layout, make_communicator());
  for (int i = 0; i < 2; ++i) (weight * 3).sum().backward();
  EXPECT_EQ(reducer.flat().narrow(0, 0, 4).sum().item<float>(), 24);
  reducer.finish();
  EXPECT_EQ(weight.grad().sum().item<float>(), 24);
  reducer.zero();
  EXPECT_EQ(weight.grad().sum().item<float>(), 0);
}

}  // namespace
}  // namespace lockstep
