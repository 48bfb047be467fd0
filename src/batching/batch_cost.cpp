#include "lockstep/batching/batch_cost.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "lockstep/models/families.h"
#include "lockstep/models/layers/linear.h"

namespace lockstep::batching {
namespace {

// The output projections of attention in all model families. Their input features are those of all heads together.
constexpr std::array<std::string_view, 5> kAttentionOutputs = {"o", "o_proj", "out_proj", "c_proj", "dense"};
constexpr std::string_view kCross = "EncDecAttention";  // T5's cross-attention

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

enum class Place { before_attention, behind_attention, elsewhere };

Place place_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return Place::elsewhere;
  const std::string_view owner = path.substr(0, dot);
  if (!owner.ends_with("attn") && !owner.ends_with("ttention")) return Place::elsewhere;
  const bool is_output = std::ranges::find(kAttentionOutputs, path.substr(dot + 1)) != kAttentionOutputs.end();
  return is_output ? Place::behind_attention : Place::before_attention;
}

// Returns the parameters of a decoder-only model's last layer, which computes only labelled positions after its
// attention.
std::set<const void*> last_layer(const LanguageModel& model) {
  std::set<const void*> parameters;
  const auto layers = model.layer_parameters();
  if (model.info().has_encoder || layers.empty()) return parameters;
  for (const at::Tensor& parameter : layers.back()) parameters.insert(parameter.unsafeGetTensorImpl());
  return parameters;
}

double multiply_adds(const models::Projection& projection) {
  std::int64_t weights = projection.weight.numel();
  if (projection.low_rank) weights += projection.low_rank->a.numel() + projection.low_rank->b.numel();
  return static_cast<double>(weights);
}

}  // namespace

bool is_attention_output(const std::string& path) { return place_of(path) == Place::behind_attention; }

bool reads_input_tokens(const models::ModelInfo& info, const std::string& path) {
  const bool is_cross = path.find(kCross) != std::string::npos;
  return !info.has_encoder || path.starts_with("encoder.") ||
         (is_cross && (path.ends_with(".k") || path.ends_with(".v")));
}

BatchCost batch_cost(const LanguageModel& model) {
  const models::ModelInfo& info = model.info();
  BatchCost cost{.input_token = 0, .target_token = 0};
  cost.label = static_cast<double>(info.vocabulary_size * info.hidden_size);
  cost.pair_overhead = kPairOverheadShare;
  cost.pads_attention = model.device().is_cuda();
  const std::set<const void*> last = last_layer(model);
  for (const auto& module : model.named_modules({}, /*include_self=*/false)) {
    const std::string& path = module.key();
    const auto* projection = dynamic_cast<const models::Projection*>(module.value().get());
    if (projection == nullptr || path == models::kHeadModule) continue;
    const bool is_cross = path.find(kCross) != std::string::npos;
    const bool reads_source = reads_input_tokens(info, path);
    const Place place = place_of(path);
    const bool is_labelled =
        place != Place::before_attention && last.contains(projection->weight.unsafeGetTensorImpl());
    (is_labelled ? cost.label : reads_source ? cost.input_token : cost.target_token) += multiply_adds(*projection);
    if (!is_labelled) {
      (reads_source ? cost.input_token_overhead : cost.target_token_overhead) +=
          kMultiplyAddsPerFeature * static_cast<double>(projection->in_features() + projection->out_features());
    }
    if (place != Place::behind_attention) continue;
    double& pairs = is_cross ? cost.cross_pair : reads_source ? cost.input_pair : cost.target_pair;
    pairs += 2 * static_cast<double>(projection->in_features());
  }
  // A model without known projections gets the default cost, which counts tokens.
  const bool is_known = cost.input_token + cost.target_token > 0;
  cost.pass = kPassOverheadTokens * (cost.input_token + cost.target_token + cost.label);
  return is_known ? cost : BatchCost{};
}

}  // namespace lockstep::batching
