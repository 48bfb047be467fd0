#include "models/layers/attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <numeric>
#include <string>
#include <vector>

namespace lockstep::models {
namespace {

struct Case {
  std::string name;
  std::vector<std::int64_t> queries = {5, 1, 3};
  std::vector<std::int64_t> keys = {};  // if empty, those of the queries
  std::int64_t heads = 4, key_heads = 4;
  bool causal = false;
  std::optional<std::int64_t> window = {};
  double soft_cap = 0;
  bool has_bias = false, has_distance_bias = false;
  double dropout = 0;
};

constexpr std::int64_t kHeadFeatures = 6;

class PackedAttention : public testing::TestWithParam<Case> {
 protected:
  PackedAttention() {
    torch::manual_seed(1);
    const Case& given = GetParam();
    query = torch::randn({queries.tokens(), given.heads, kHeadFeatures}, torch::requires_grad());
    key = torch::randn({keys.tokens(), given.key_heads, kHeadFeatures}, torch::requires_grad());
    value = torch::randn({keys.tokens(), given.key_heads, kHeadFeatures}, torch::requires_grad());
    options = {.scale = 0.7,
               .soft_cap = given.soft_cap,
               .causal = given.causal,
               .window = given.window,
               .dropout = given.dropout};
    if (given.has_bias) options.bias = torch::randn({1, given.heads, 1, keys.length});
    if (given.has_distance_bias) {
      options.distance_bias = torch::randn({given.heads, queries.length + keys.length - 1}, torch::requires_grad());
    }
  }

  // Computes attention as on a GPU: rows are padded and the padding is hidden. A causal mask already hides it; hiding
  // it again would leave some padded queries with a window no key at all.
  at::Tensor reference() {
    Pass pass{.dropout = Dropout(2, 3, examples)};
    AttentionOptions padded = options;
    if (!options.causal) {
      const at::Tensor padding = keys.padding_bias();
      padded.bias = options.bias.defined() ? options.bias + padding : padding;
    }
    const auto pad = [](const at::Tensor& x, const PackedRows& rows) { return rows.pad(x).transpose(1, 2); };
    return queries.pack(attend(pad(query, queries), pad(key, keys), pad(value, keys), padded, pass));
  }

  at::Tensor packed() {
    Pass pass{.dropout = Dropout(2, 3, examples)};
    return attend(query, key, value, queries, keys, options, pass);
  }

  const PackedRows queries = PackedRows(GetParam().queries);
  const PackedRows keys = GetParam().keys.empty() ? queries : PackedRows(GetParam().keys);
  const std::vector<std::uint64_t> examples = [] {
    std::vector<std::uint64_t> ids(GetParam().queries.size());
    std::iota(ids.begin(), ids.end(), 7);
    return ids;
  }();
  at::Tensor query, key, value;
  AttentionOptions options;
};

TEST_P(PackedAttention, EqualsThatOfPaddedRows) {
  const at::Tensor expected = reference(), found = packed();
  EXPECT_TRUE(at::allclose(found, expected, 1e-5, 1e-6)) << (found - expected).abs().max();
}

TEST_P(PackedAttention, HasTheGradientsOfPaddedRows) {
  std::vector<at::Tensor> inputs = {query, key, value};
  if (options.distance_bias.defined()) inputs.push_back(options.distance_bias);
  const at::Tensor grad_output = torch::randn({queries.tokens(), GetParam().heads * kHeadFeatures});
  const auto expected = torch::autograd::grad({reference()}, inputs, {grad_output});
  const auto found = torch::autograd::grad({packed()}, inputs, {grad_output});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 1e-5)) << i << " " << (found[i] - expected[i]).abs().max();
  }
}

TEST_P(PackedAttention, HasTheSameBitsEachTime) {
  const int threads = at::get_num_threads();
  at::set_num_threads(4);
  const at::Tensor first = packed();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(packed().equal(first));
  at::set_num_threads(threads);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, PackedAttention,
    testing::Values(
        Case{.name = "Encoder"}, Case{.name = "Causal", .causal = true}, Case{.name = "Cross", .keys = {2, 7, 4}},
        Case{.name = "SharedKeys", .key_heads = 2, .causal = true},
        Case{.name = "Window", .queries = {9, 2, 17}, .causal = true, .window = 4},
        Case{.name = "LongRows", .queries = {300, 40, 129}, .heads = 2, .key_heads = 1, .causal = true},
        Case{.name = "LongWindow", .queries = {300, 128}, .heads = 1, .key_heads = 1, .causal = true, .window = 50},
        Case{.name = "LongCross", .queries = {200, 3}, .keys = {5, 260}, .heads = 2, .key_heads = 2},
        Case{.name = "SoftCap", .key_heads = 1, .causal = true, .soft_cap = 1.5, .has_bias = true},
        Case{.name = "SoftCapOfAWindow",
             .queries = {150, 40},
             .heads = 2,
             .key_heads = 1,
             .causal = true,
             .window = 12,
             .soft_cap = 0.8},
        Case{.name = "KeyBias", .causal = true, .has_bias = true},
        Case{.name = "DistanceBias", .queries = {150, 20, 140}, .has_distance_bias = true},
        Case{.name = "CausalDistanceBias", .queries = {150, 20, 1}, .causal = true, .has_distance_bias = true},
        Case{.name = "SoftCapOfDistances", .causal = true, .soft_cap = 0.8, .has_distance_bias = true},
        Case{.name = "Dropout", .queries = {140, 6}, .key_heads = 2, .causal = true, .dropout = 0.3},
        Case{.name = "DropoutOfDistances",
             .queries = {9, 6},
             .keys = {3, 8},
             .has_distance_bias = true,
             .dropout = 0.4}),
    [](const auto& instance) { return instance.param.name; });

TEST(PackedAttention, OfNothingIsNothing) {
  const PackedRows queries(std::vector<std::int64_t>{3, 2}), keys(std::vector<std::int64_t>{4, 0});
  const at::Tensor query = torch::randn({5, 2, 4}, torch::requires_grad());
  const at::Tensor key = torch::randn({4, 2, 4}, torch::requires_grad());
  Pass pass;
  const at::Tensor output = attend(query, key, key, queries, keys, {}, pass);
  EXPECT_TRUE(output.isfinite().all().item<bool>());
  EXPECT_TRUE(output.narrow(0, 3, 2).eq(0).all().item<bool>());
  output.sum().backward();
  EXPECT_TRUE(query.grad().isfinite().all().item<bool>());
  EXPECT_TRUE(query.grad().narrow(0, 3, 2).eq(0).all().item<bool>());
}

}  // namespace
}  // namespace lockstep::models
