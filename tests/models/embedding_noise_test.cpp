#include "lockstep/models/embedding_noise.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <cmath>
#include <vector>

namespace lockstep {
namespace {

constexpr std::int64_t kFeatures = 64;

// The noise of rows of these lengths, padded to `padded`, one after another without padding.
at::Tensor noise(const std::vector<std::uint64_t>& examples, const std::vector<std::int64_t>& lengths,
                 std::int64_t padded, double alpha = 5, std::uint64_t seed = 1, std::uint64_t step = 2,
                 Embedded embedded = Embedded::kInput) {
  std::vector<std::int64_t> places;
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    for (std::int64_t position = 0; position < lengths[row]; ++position) {
      places.push_back(static_cast<std::int64_t>(row) * padded + position);
    }
  }
  const at::Tensor zeros = torch::zeros({static_cast<std::int64_t>(places.size()), kFeatures});
  return EmbeddingNoise(alpha, seed, step, examples)
      .add_to(zeros, torch::tensor(places), padded, torch::tensor(lengths), embedded);
}

TEST(EmbeddingNoise, BelongsToExamplesAndNotToTheirBatch) {
  const at::Tensor together = noise({7, 9, 8}, {30, 50, 40}, 50);
  EXPECT_TRUE(together.narrow(0, 30, 50).equal(noise({9}, {50}, 50)));
  EXPECT_TRUE(together.narrow(0, 80, 40).equal(noise({8}, {40}, 64)));
}

TEST(EmbeddingNoise, IsUniformWithinTheBoundsOfTheRowsOwnLength) {
  for (const std::int64_t length : {400, 900}) {
    const double largest = 5 / std::sqrt(static_cast<double>(length * kFeatures));
    const at::Tensor found = noise({3}, {length}, 1000) / largest;
    EXPECT_LE(found.abs().max().item<double>(), 1.0);
    const at::Tensor sorted = std::get<0>(found.flatten().sort());
    const at::Tensor expected = torch::linspace(-1, 1, sorted.numel());
    EXPECT_LE((sorted - expected).abs().max().item<double>(), 0.03);  // Kolmogorov-Smirnov, at 25,600: 1e-9
    // Neighbours in a row, a column and on the way know nothing of each other.
    EXPECT_LE(std::abs((found.slice(1, 1) * found.slice(1, 0, -1)).mean().item<double>()), 0.02);
    EXPECT_LE(std::abs((found.slice(0, 1) * found.slice(0, 0, -1)).mean().item<double>()), 0.02);
  }
}

TEST(EmbeddingNoise, DiffersBySeedStepExampleAndStack) {
  const at::Tensor first = noise({3}, {100}, 100);
  for (const at::Tensor& other : {noise({4}, {100}, 100), noise({3}, {100}, 100, 5, 2), noise({3}, {100}, 100, 5, 1, 3),
                                  noise({3}, {100}, 100, 5, 1, 2, Embedded::kDecoderInput)}) {
    const double correlation = ((first * other).mean() / first.square().mean()).item<double>();
    EXPECT_LE(std::abs(correlation), 0.06);
  }
  EXPECT_TRUE(noise({3}, {100}, 100, 10).allclose(2 * first));
}

TEST(EmbeddingNoise, GradientsPassAndWithoutAlphaNothingIsAdded) {
  const at::Tensor x = torch::randn({4, kFeatures}).requires_grad_();
  const std::vector<std::uint64_t> examples = {1};
  const at::Tensor places = torch::arange(4), lengths = torch::tensor({4});
  EXPECT_TRUE(EmbeddingNoise().add_to(x, places, 4, lengths, Embedded::kInput).is_same(x));
  const at::Tensor y = EmbeddingNoise(5, 1, 1, examples).add_to(x, places, 4, lengths, Embedded::kInput);
  EXPECT_FALSE(y.equal(x));
  y.sum().backward();
  EXPECT_TRUE(x.grad().equal(torch::ones_like(x)));
}

}  // namespace
}  // namespace lockstep
