#include "lockstep/models/layers/dropout.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <array>

#include "lockstep/core/error.h"

namespace lockstep::models {
namespace {

constexpr std::array<std::uint64_t, 3> kExamples = {5, 9, 1};

// Returns a Dropout for `length` tokens of each example.
Dropout make_dropout(std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> examples,
                     std::int64_t length) {
  Dropout dropout(seed, step, examples);
  dropout.over(at::arange(length * static_cast<std::int64_t>(examples.size())), length);
  return dropout;
}

// Returns the mask for a `shape` of [rows, length, features], passed as packed tokens, or [rows, heads, query, key].
at::Tensor mask(std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> examples,
                std::vector<std::int64_t> shape, double probability = 0.3) {
  Dropout dropout = make_dropout(seed, step, examples, shape[1]);
  const at::Tensor ones = at::ones(shape);
  return dropout(shape.size() == 3 ? ones.flatten(0, 1) : ones, probability).view(shape);
}

TEST(Dropout, DropsTheShareAndScalesTheRest) {
  const at::Tensor dropped = mask(1, 2, kExamples, {3, 50, 200});
  EXPECT_NEAR(dropped.eq(0).to(at::kFloat).mean().item<double>(), 0.3, 0.02);
  EXPECT_TRUE(dropped.masked_select(dropped.ne(0)).allclose(at::scalar_tensor(1 / 0.7)));
}

TEST(Dropout, AnExamplesMaskDoesNotDependOnItsBatchOrItsPadding) {
  const at::Tensor together = mask(1, 2, kExamples, {3, 8, 16});
  const std::array<std::uint64_t, 1> alone = {9};
  EXPECT_TRUE(mask(1, 2, alone, {1, 5, 16})[0].equal(together[1].narrow(0, 0, 5)));
  const at::Tensor heads = mask(1, 2, kExamples, {3, 2, 8, 8});
  EXPECT_TRUE(mask(1, 2, alone, {1, 2, 4, 4})[0].equal(heads[1].narrow(1, 0, 4).narrow(2, 0, 4)));
}

TEST(Dropout, PackedTokensHaveTheMasksOfTheirPlaces) {
  const at::Tensor whole = mask(1, 2, kExamples, {3, 8, 16});
  Dropout dropout(1, 2, kExamples);
  const at::Tensor places = at::tensor({0, 1, 8, 15, 16}, at::kLong);
  dropout.over(places, 8);
  EXPECT_TRUE(dropout(at::ones({5, 16}), 0.3).equal(whole.flatten(0, 1).index_select(0, places)));
}

TEST(Dropout, SeedStepExampleAndCallChangeTheMask) {
  const at::Tensor base = mask(1, 2, kExamples, {3, 8, 16});
  EXPECT_TRUE(base.equal(mask(1, 2, kExamples, {3, 8, 16})));
  EXPECT_FALSE(base.equal(mask(2, 2, kExamples, {3, 8, 16})));
  EXPECT_FALSE(base.equal(mask(1, 3, kExamples, {3, 8, 16})));
  EXPECT_FALSE(base[0].equal(base[1]));
  Dropout dropout = make_dropout(1, 2, kExamples, 8);
  const at::Tensor first = dropout(at::ones({24, 16}), 0.3);
  EXPECT_FALSE(first.equal(dropout(at::ones({24, 16}), 0.3)));
}

TEST(Dropout, TheGradientTakesTheSameMask) {
  const at::Tensor x = at::randn({12, 6}).requires_grad_();
  Dropout dropout = make_dropout(3, 4, kExamples, 4);
  dropout(x, 0.5).sum().backward();
  EXPECT_TRUE(x.grad().view({3, 4, 6}).equal(mask(3, 4, kExamples, {3, 4, 6}, 0.5)));
}

TEST(Dropout, DropsNothingInEvaluationOrWithoutProbability) {
  const at::Tensor x = at::randn({12, 6});
  Dropout none;
  EXPECT_TRUE(none(x, 0.5).is_same(x));
  Dropout dropout = make_dropout(1, 1, kExamples, 4);
  EXPECT_TRUE(dropout(x, 0).is_same(x));
  EXPECT_THROW(dropout(at::ones({8, 6}), 0.5), Error);
  EXPECT_THROW(dropout(at::ones({2, 4, 6}), 0.5), Error);
}

}  // namespace
}  // namespace lockstep::models
