#pragma once

#include <memory>

#include "models/decoder/self_attention.h"
#include "models/layers/norm.h"

namespace lockstep::models {

/// Implements the MLP of one layer: activation(x up) down, or (activation(x gate) * x up) down. Registers its modules
/// in the layer's module.
class FeedForward {
 public:
  FeedForward(torch::nn::Module& layer_module, const DecoderConfig& config, std::int64_t layer);
  at::Tensor forward(const Operand& x, Pass& pass) const;

 private:
  Activation activation_;
  std::shared_ptr<Projection> gate_, up_, gate_up_, down_;
};

/// Implements one layer of a Decoder.
class DecoderBlock : public torch::nn::Module {
 public:
  DecoderBlock(const DecoderConfig& config, const Rotary& rotary, std::int64_t layer);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context, Pass& pass, KvCache* cache) const;

 private:
  at::Tensor forward_parallel(const at::Tensor& x, const DecoderContext& context, Pass& pass, KvCache* cache) const;
  at::Tensor residual(const at::Tensor& x, const DecoderContext& context) const;

  const DecoderConfig& config_;
  std::shared_ptr<Norm> attention_norm_;
  SelfAttention attention_;
  std::shared_ptr<Norm> mlp_norm_;  // null if the MLP of a parallel block uses attention_norm_
  FeedForward mlp_;
  std::shared_ptr<Norm> attention_output_norm_, mlp_output_norm_;  // null if there is none
};

}  // namespace lockstep::models
