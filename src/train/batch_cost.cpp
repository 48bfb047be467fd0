#include "lockstep/train/batch_cost.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "lockstep/models/families.h"
#include "lockstep/models/layers.h"

namespace lockstep {
namespace {

// The projections behind attention, of all families; as many features go in as there are in all heads.
constexpr std::array<std::string_view, 5> kAttentionOutputs = {"o", "o_proj", "out_proj", "c_proj", "dense"};
constexpr std::string_view kCross = "EncDecAttention";

bool is_behind_attention(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view owner = path.substr(0, dot);
  const bool is_attention = owner.ends_with("attn") || owner.ends_with("ttention");
  return is_attention && std::ranges::find(kAttentionOutputs, path.substr(dot + 1)) != kAttentionOutputs.end();
}

double multiply_adds(const Projection& projection) {
  std::int64_t weights = projection.weight.numel();
  if (projection.low_rank) weights += projection.low_rank->a.numel() + projection.low_rank->b.numel();
  return static_cast<double>(weights);
}

}  // namespace

BatchCost batch_cost(const LanguageModel& model) {
  const ModelInfo& info = model.info();
  BatchCost cost{.input_token = 0, .target_token = 0};
  cost.label = static_cast<double>(info.vocabulary_size * info.hidden_size);
  for (const auto& module : model.named_modules({}, /*include_self=*/false)) {
    const std::string& path = module.key();
    const auto* projection = dynamic_cast<const Projection*>(module.value().get());
    if (projection == nullptr || path == kHeadModule) continue;
    const bool is_cross = path.find(kCross) != std::string::npos;
    const bool reads_source = !info.has_encoder || path.starts_with("encoder.") ||
                              (is_cross && (path.ends_with(".k") || path.ends_with(".v")));
    (reads_source ? cost.input_token : cost.target_token) += multiply_adds(*projection);
    if (!is_behind_attention(path)) continue;
    double& pairs = is_cross ? cost.cross_pair : reads_source ? cost.input_pair : cost.target_pair;
    pairs += 2 * static_cast<double>(projection->in_features());
  }
  // A model of other parts than ours: by tokens.
  const bool is_known = cost.input_token + cost.target_token > 0;
  return is_known ? cost : BatchCost{};
}

}  // namespace lockstep
