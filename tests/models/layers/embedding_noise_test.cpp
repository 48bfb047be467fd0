#include "lockstep/models/layers/embedding_noise.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <cmath>
#include <vector>

namespace lockstep::models {
namespace {

constexpr std::int64_t kEmbeddedFeatures = 64;

at::Tensor noise(const std::vector<std::uint64_t>& examples, const std::vector<std::int64_t>& lengths, double alpha = 5,
                 std::uint64_t seed = 1, std::uint64_t step = 2, Embedded embedded = Embedded::kInput) {
  const PackedRows rows(lengths);
  return EmbeddingNoise(alpha, seed, step, examples)
      .add_to(torch::zeros({rows.tokens(), kEmbeddedFeatures}), rows, rows, embedded);
}

TEST(EmbeddingNoise, BelongsToExamplesAndNotToTheirBatch) {
  const at::Tensor together = noise({7, 9, 8}, {30, 50, 40});
  EXPECT_TRUE(together.narrow(0, 30, 50).equal(noise({9}, {50})));
  EXPECT_TRUE(together.narrow(0, 80, 40).equal(noise({8}, {40})));
}

TEST(EmbeddingNoise, OfARowsFirstTokensIsThatOfTheWholeRow) {
  const PackedRows whole(std::vector<std::int64_t>{5, 3}), first = whole.first(std::vector<std::int64_t>{4, 2});
  const std::vector<std::uint64_t> examples = {7, 9};
  const at::Tensor found =
      EmbeddingNoise(5, 1, 2, examples).add_to(torch::zeros({6, kEmbeddedFeatures}), first, whole, Embedded::kInput);
  const at::Tensor all = noise({7, 9}, {5, 3});
  EXPECT_TRUE(found.equal(at::cat({all.narrow(0, 0, 4), all.narrow(0, 5, 2)})));
}

TEST(EmbeddingNoise, IsUniformWithinTheBoundsOfTheRowsOwnLength) {
  for (const std::int64_t length : {400, 900}) {
    const double largest = 5 / std::sqrt(static_cast<double>(length * kEmbeddedFeatures));
    const at::Tensor found = noise({3}, {length}) / largest;
    EXPECT_LE(found.abs().max().item<double>(), 1.0);
    const at::Tensor sorted = std::get<0>(found.flatten().sort());
    const at::Tensor expected = torch::linspace(-1, 1, sorted.numel());
    EXPECT_LE((sorted - expected).abs().max().item<double>(), 0.03);  // Kolmogorov-Smirnov distance
    // Adjacent features and adjacent positions are uncorrelated.
    EXPECT_LE(std::abs((found.slice(1, 1) * found.slice(1, 0, -1)).mean().item<double>()), 0.02);
    EXPECT_LE(std::abs((found.slice(0, 1) * found.slice(0, 0, -1)).mean().item<double>()), 0.02);
  }
}

TEST(EmbeddingNoise, DiffersBySeedStepExampleAndStack) {
  const at::Tensor first = noise({3}, {100});
  for (const at::Tensor& other : {noise({4}, {100}), noise({3}, {100}, 5, 2), noise({3}, {100}, 5, 1, 3),
                                  noise({3}, {100}, 5, 1, 2, Embedded::kDecoderInput)}) {
    const double correlation = ((first * other).mean() / first.square().mean()).item<double>();
    EXPECT_LE(std::abs(correlation), 0.06);
  }
  EXPECT_TRUE(noise({3}, {100}, 10).allclose(2 * first));
}

TEST(EmbeddingNoise, GradientsPassAndWithoutAlphaNothingIsAdded) {
  const at::Tensor x = torch::randn({4, kEmbeddedFeatures}).requires_grad_();
  const std::vector<std::uint64_t> examples = {1};
  const PackedRows rows(std::vector<std::int64_t>{4});
  EXPECT_TRUE(EmbeddingNoise().add_to(x, rows, rows, Embedded::kInput).is_same(x));
  const at::Tensor y = EmbeddingNoise(5, 1, 1, examples).add_to(x, rows, rows, Embedded::kInput);
  EXPECT_FALSE(y.equal(x));
  y.sum().backward();
  EXPECT_TRUE(x.grad().equal(torch::ones_like(x)));
}

}  // namespace
}  // namespace lockstep::models
