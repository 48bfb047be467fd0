#include "models/decoder/decoder_parts.h"
#include "models/layers/norm.h"

namespace lockstep::models {

std::shared_ptr<Projection> make_projection(const DecoderConfig& config, std::int64_t in, std::int64_t out,
                                            bool has_bias, ProjectionUse use) {
  if (config.conv1d) return std::make_shared<Conv1D>(in, out, use);
  return std::make_shared<Linear>(in, out, has_bias, use);
}

std::shared_ptr<Norm> make_norm(const DecoderConfig& config, std::int64_t features) {
  if (config.norm == NormKind::kLayer) {
    return std::make_shared<LayerNorm>(features, config.norm_epsilon, config.affine_norms);
  }
  return std::make_shared<RmsNorm>(features, config.norm_epsilon, config.norm == NormKind::kOffsetRms);
}

TokenStream stream_after_attention(const DecoderConfig& config, std::int64_t layer) {
  return layer + 1 == config.layers ? TokenStream::kLabels : TokenStream::kInput;
}

}  // namespace lockstep::models
