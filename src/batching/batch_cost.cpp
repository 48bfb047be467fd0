#include "lockstep/batching/batch_cost.h"

#include "lockstep/models/layers/linear.h"

namespace lockstep::batching {
namespace {

// The fixed cost of a forward and backward pass, in tokens that pass all weights: reading the weights and accumulating
// their gradients. Measured once on one CPU core: 71, for a GPT-2 with 6 layers of width 512 in passes of 512, 1024 and
// 2048 tokens.
constexpr double kPassOverheadTokens = 64;

// Work outside of matrix products, per input or output feature of a projection: norms, activations, residual sums,
// dropout and biases traverse the features, some of them again in backward. With this term, bench/scaling.py on two CPU
// cores measures GPT-2s of width 128 to 768 at 94 to 101 % of the throughput predicted from width 512; without it,
// width 128 reached 57 %.
constexpr double kMultiplyAddsPerFeature = 128;
// Work per pair outside of matrix products, as a share of them: the softmax, and products of few features, which are
// slower. Chosen for rows of 1,024 tokens, which reached 86 % without it.
constexpr double kPairOverheadShare = 1;

double multiply_adds(const models::Projection& projection) {
  std::int64_t weights = projection.weight.numel();
  if (projection.low_rank) weights += projection.low_rank->a.numel() + projection.low_rank->b.numel();
  return static_cast<double>(weights);
}

}  // namespace

BatchCost batch_cost(const LanguageModel& model) {
  const models::ModelInfo& info = model.info();
  BatchCost cost{.input_token = 0, .target_token = 0};
  cost.label = static_cast<double>(info.vocabulary_size * info.hidden_size);
  cost.pair_overhead = kPairOverheadShare;
  cost.pads_attention = model.device().is_cuda();
  for (const auto& [path, projection] : models::projections_of(model)) {
    const models::ProjectionUse& use = projection->use;
    if (use.role == models::ProjectionRole::kHead) continue;
    const bool is_target = use.stream == models::TokenStream::kTarget;
    const bool is_labelled = use.stream == models::TokenStream::kLabels;
    (is_labelled ? cost.label : is_target ? cost.target_token : cost.input_token) += multiply_adds(*projection);
    if (!is_labelled) {
      (is_target ? cost.target_token_overhead : cost.input_token_overhead) +=
          kMultiplyAddsPerFeature * static_cast<double>(projection->in_features() + projection->out_features());
    }
    if (use.role != models::ProjectionRole::kAttentionOutput) continue;
    double& pairs = use.is_cross ? cost.cross_pair : is_target ? cost.target_pair : cost.input_pair;
    pairs += 2 * static_cast<double>(projection->in_features());
  }
  // A model without known projections gets the default cost, which counts tokens.
  const bool is_known = cost.input_token + cost.target_token > 0;
  cost.pass = kPassOverheadTokens * (cost.input_token + cost.target_token + cost.label);
  return is_known ? cost : BatchCost{};
}

}  // namespace lockstep::batching
