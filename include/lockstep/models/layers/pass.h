#pragma once

#include <optional>

#include "lockstep/models/layers/dropout.h"
#include "lockstep/models/layers/embedding_noise.h"

namespace lockstep::models {

class LayerObserver;   // models/layers/layer_observer.h
class RoundedWeights;  // models/layers/mixed_precision.h

/// Says how one forward pass over one micro-batch, and the backward pass that follows it, are computed. A
/// default-constructed pass is that of evaluation and generation: fp32, no dropout, no noise, gradients for autograd.
///
/// Functions take a `Pass&` because the dropout numbers its calls; a copy that was made before a layer repeats that
/// layer exactly. What a pass points to, the example ids of its dropout included, must outlive the backward pass.
struct Pass {
  /// If not null, linear layers, the head and, on a GPU, attention multiply in the type of these weights and accumulate
  /// in fp32: mixed precision (Micikevicius et al. 2018). Their outputs and gradients are fp32, and so is everything
  /// else: norms, softmax, activations, the loss, the weights themselves, and attention on the host.
  RoundedWeights* rounded_weights = nullptr;
  Dropout dropout = {};
  EmbeddingNoise noise = {};
  /// Share of a position's loss that is the mean over the vocabulary (models/loss.h).
  double label_smoothing = 0;
  /// Whether the backward pass adds the gradients of parameters directly to existing Tensor::grad() tensors (a linear
  /// layer within its matrix product) instead of handing autograd a new tensor for each. torch::autograd::grad() does
  /// not see these gradients. Intended for training loops, which own the gradients.
  bool adds_gradients_in_place = false;
  /// If set, promises that backward() follows at once, on the loss times this number, with gradients added in place.
  /// The head, which computes its gradients together with the loss, then adds them in the forward pass and needs no
  /// second tensor of the size of its weight.
  std::optional<double> loss_scale = {};
  /// Called before and after each layer; may be null.
  LayerObserver* observer = nullptr;
  /// Whether the activations inside a layer are dropped and recomputed in the backward pass (gradient checkpointing,
  /// Chen et al. 2016).
  bool recomputes_layers = false;
};

}  // namespace lockstep::models
