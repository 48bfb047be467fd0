#pragma once

#include <cstdint>
#include <memory>

#include "lockstep/models/layers/linear.h"
#include "lockstep/models/model.h"
#include "models/layers/activation.h"

namespace lockstep::models {

/// Describes a model of the T5 type. models/families/t5.cpp fills it from config.json.
struct T5Config {
  std::int64_t vocabulary = 0, features = 0, head_features = 0, inner_features = 0, heads = 0;
  std::int64_t encoder_layers = 0, decoder_layers = 0;
  std::int64_t buckets = 0, max_distance = 0;  // of relative positions
  bool bias_in_each_layer = false;             // otherwise all layers of a stack share the first layer's
  double dropout = 0, norm_epsilon = 1e-6, initializer_factor = 1;
  Activation activation = {};
  bool gated = false;
  bool scale_outputs = false;  // whether the decoder's output is multiplied by features^-0.5 before the head
  bool untied_head = false;
};

/// Creates a T5 model (Raffel et al. 2020) that computes what transformers' T5ForConditionalGeneration does.
std::shared_ptr<LanguageModel> make_t5(ModelInfo info, const T5Config& config);

}  // namespace lockstep::models
