#include "models/decoder/decoder_block.h"

#include "models/decoder/decoder_parts.h"
#include "models/layers/register_at.h"

namespace lockstep::models {
namespace {

std::shared_ptr<Norm> add_norm(torch::nn::Module& module, const std::string& name, const DecoderConfig& config) {
  return name.empty() ? nullptr : register_at(module, name, make_norm(config, config.features));
}

}  // namespace

FeedForward::FeedForward(torch::nn::Module& layer_module, const DecoderConfig& config, std::int64_t layer)
    : activation_(config.activation) {
  const TokenStream stream = stream_after_attention(config, layer);
  const auto add = [&](const std::string& name, std::int64_t in, std::int64_t out, ProjectionRole role) {
    return register_at(layer_module, name, make_projection(config, in, out, config.mlp_bias, {role, stream}));
  };
  const DecoderNames& names = config.names;
  if (!names.gate_up.empty()) {
    gate_up_ = add(names.gate_up, config.features, 2 * config.inner_features, ProjectionRole::kMlpGateUp);
  } else {
    if (!names.gate.empty()) {
      gate_ = add(names.gate, config.features, config.inner_features, ProjectionRole::kMlpGate);
    }
    up_ = add(names.up, config.features, config.inner_features, ProjectionRole::kMlpUp);
  }
  down_ = add(names.down, config.inner_features, config.features, ProjectionRole::kMlpDown);
}

at::Tensor FeedForward::forward(const Operand& x, Pass& pass) const {
  if (gate_up_) {
    const auto parts = gate_up_->forward(x, pass).chunk(2, -1);
    return down_->forward(activation_.gated(parts[0], parts[1], pass), pass);
  }
  if (!gate_) return down_->forward(activation_.operand(up_->forward(x, pass), pass), pass);
  const at::Tensor gate = gate_->forward(x, pass);
  return down_->forward(activation_.gated(gate, up_->forward(x, pass), pass), pass);
}

DecoderBlock::DecoderBlock(const DecoderConfig& config, const Rotary& rotary, std::int64_t layer)
    : config_(config),
      attention_norm_(add_norm(*this, config.names.attention_norm, config)),
      attention_(*this, config, rotary, layer),
      mlp_norm_(add_norm(*this, config.names.mlp_norm, config)),
      mlp_(*this, config, layer),
      attention_output_norm_(add_norm(*this, config.names.attention_output_norm, config)),
      mlp_output_norm_(add_norm(*this, config.names.mlp_output_norm, config)) {}

at::Tensor DecoderBlock::forward(const at::Tensor& x, const DecoderContext& context, Pass& pass, KvCache* cache) const {
  if (config_.block == BlockKind::kParallel) return forward_parallel(x, context, pass, cache);
  const bool norms_first = config_.block == BlockKind::kPreNorm;
  at::Tensor attended =
      attention_.forward(norms_first ? attention_norm_->operand(x, pass) : Operand(x), context, pass, cache);
  if (attention_output_norm_) attended = attention_output_norm_->forward(attended);
  at::Tensor sum = residual(x, context) + pass.dropout(attended, config_.attention_output_dropout);
  if (!norms_first) sum = attention_norm_->forward(sum);

  at::Tensor inner = mlp_.forward(norms_first ? mlp_norm_->operand(sum, pass) : Operand(sum), pass);
  if (mlp_output_norm_) inner = mlp_output_norm_->forward(inner);
  sum = sum + pass.dropout(inner, config_.mlp_output_dropout);
  return norms_first ? sum : mlp_norm_->forward(sum);
}

at::Tensor DecoderBlock::forward_parallel(const at::Tensor& x, const DecoderContext& context, Pass& pass,
                                          KvCache* cache) const {
  const Operand normed = attention_norm_->operand(x, pass);
  const at::Tensor attended = attention_.forward(normed, context, pass, cache);
  const at::Tensor kept = residual(x, context);
  const auto narrowed = [labelled = context.labelled](const at::Tensor& all) { return all.index_select(0, labelled); };
  const Operand mlp_input = mlp_norm_                         ? mlp_norm_->operand(kept, pass)
                            : attention_.is_narrowed(context) ? normed.then(narrowed)
                                                              : normed;
  const at::Tensor inner = mlp_.forward(mlp_input, pass);
  if (config_.joint_dropout) return kept + pass.dropout(inner + attended, config_.mlp_output_dropout);
  return kept + pass.dropout(attended, config_.attention_output_dropout) +
         pass.dropout(inner, config_.mlp_output_dropout);
}

// Returns the rows of `x` that match the attention's output.
at::Tensor DecoderBlock::residual(const at::Tensor& x, const DecoderContext& context) const {
  return attention_.is_narrowed(context) ? x.index_select(0, context.labelled) : x;
}

}  // namespace lockstep::models
