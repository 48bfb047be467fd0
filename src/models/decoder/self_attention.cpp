#include "models/decoder/self_attention.h"

#include "models/decoder/decoder_parts.h"
#include "models/layers/attention.h"
#include "models/layers/register_at.h"

namespace lockstep::models {

SelfAttention::SelfAttention(torch::nn::Module& layer_module, const DecoderConfig& config, const Rotary& rotary,
                             std::int64_t layer)
    : config_(config), rotary_(rotary), layer_(static_cast<std::size_t>(layer)), scale_(config.attention_scale) {
  if (config.scale_by_inverse_layer) scale_ /= static_cast<double>(layer + 1);
  const DecoderNames& names = config.names;
  const std::int64_t query_features = config.heads * config.head_features;
  const std::int64_t key_features = config.key_value_heads * config.head_features;
  const auto add = [&](const std::string& name, std::int64_t out, ProjectionRole role) {
    return register_at(
        layer_module, name,
        make_projection(config, config.features, out, config.query_key_value_bias, {role, TokenStream::kInput}));
  };
  if (names.query_key_value.empty()) {
    query_ = add(names.query, query_features, ProjectionRole::kQuery);
    key_ = add(names.key, key_features, ProjectionRole::kKey);
    value_ = add(names.value, key_features, ProjectionRole::kValue);
  } else {
    query_key_value_ = add(names.query_key_value, query_features + 2 * key_features, ProjectionRole::kQueryKeyValue);
  }
  output_ = register_at(layer_module, names.attention_output,
                        make_projection(config, query_features, config.features, config.attention_output_bias,
                                        {ProjectionRole::kAttentionOutput, stream_after_attention(config, layer)}));
  if (!names.query_norm.empty()) {
    query_norm_ = register_at(layer_module, names.query_norm, make_norm(config, config.head_features));
    key_norm_ = register_at(layer_module, names.key_norm, make_norm(config, config.head_features));
  }
}

at::Tensor SelfAttention::forward(const Operand& x, const DecoderContext& context, Pass& pass, KvCache* cache) const {
  auto [query, key, value] = project(x, pass);
  query = rotate(query, context.angles);
  key = rotate(key, context.angles);
  if (context.positions.defined()) {
    std::tie(key, value) = cache->append(key, value, context.positions, context.keys);
  } else if (cache != nullptr) {
    *cache = KvCache(key, value);
  }

  const bool is_whole = !context.positions.defined();
  const AttentionOptions options{.scale = scale_,
                                 .soft_cap = config_.attention_soft_cap,
                                 .bias = context.biases[layer_],
                                 .causal = is_whole,
                                 .window = is_whole ? config_.windows[layer_] : std::nullopt,
                                 .dropout = config_.attention_dropout};
  if (context.rows == nullptr) return output_->forward(attend(query, key, value, options, pass), pass);
  at::Tensor attended = attend(query, key, value, *context.rows, *context.rows, options, pass);
  if (is_narrowed(context)) {
    attended = attended.index_select(0, context.labelled);
    pass.dropout.over(context.rows->places.index_select(0, context.labelled), context.rows->length);
  }
  return output_->forward(attended, pass);
}

bool SelfAttention::is_narrowed(const DecoderContext& context) const {
  return context.labelled.defined() && static_cast<std::int64_t>(layer_) + 1 == config_.layers;
}

SelfAttention::Projected SelfAttention::project(const Operand& x, Pass& pass) const {
  if (query_key_value_) return split_fused(query_key_value_->forward(x, pass));
  at::Tensor query = split_heads(query_->forward(x, pass), config_.heads);
  at::Tensor key = split_heads(key_->forward(x, pass), config_.key_value_heads);
  if (query_norm_) {
    query = query_norm_->forward(query);
    key = key_norm_->forward(key);
  }
  return {query, key, split_heads(value_->forward(x, pass), config_.key_value_heads)};
}

SelfAttention::Projected SelfAttention::split_fused(const at::Tensor& fused) const {
  const std::int64_t key_heads = config_.key_value_heads;
  if (config_.fused_layout == FusedLayout::kParts) {
    const std::int64_t key_features = key_heads * config_.head_features;
    const auto parts = fused.split_with_sizes({config_.heads * config_.head_features, key_features, key_features}, -1);
    return {split_heads(parts[0], config_.heads), split_heads(parts[1], key_heads), split_heads(parts[2], key_heads)};
  }
  const std::int64_t shared_by = config_.heads / key_heads;
  const auto parts =
      fused.unflatten(-1, {key_heads, shared_by + 2, config_.head_features}).split_with_sizes({shared_by, 1, 1}, -2);
  const auto by_head = [](const at::Tensor& part) {
    const at::Tensor heads = part.flatten(-3, -2);
    return heads.dim() == 4 ? heads.transpose(1, 2) : heads;
  };
  return {by_head(parts[0]), by_head(parts[1]), by_head(parts[2])};
}

at::Tensor SelfAttention::rotate(const at::Tensor& x, const RotaryAngles& angles) const {
  return config_.positions == PositionKind::kRotary ? rotary_.rotate(x, angles) : x;
}

}  // namespace lockstep::models
