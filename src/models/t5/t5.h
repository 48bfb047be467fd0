#pragma once

#include <cstdint>
#include <memory>

#include "lockstep/models/layers/linear.h"
#include "lockstep/models/model.h"
#include "models/layers/activation.h"

namespace lockstep::models {

/// A model of T5's kind. families/t5.cpp fills it from config.json.
struct T5Config {
  std::int64_t vocabulary = 0, features = 0, head_features = 0, inner_features = 0, heads = 0;
  std::int64_t encoder_layers = 0, decoder_layers = 0;
  std::int64_t buckets = 0, max_distance = 0;  // of relative positions
  bool bias_in_each_layer = false;             // else the first layer's serves all of a stack
  double dropout = 0, norm_epsilon = 1e-6, initializer_factor = 1;
  Activation activation = {};
  bool gated = false;
  bool scale_outputs = false;  // the decoder's output by features^-0.5 before the head
  bool untied_head = false;
};

/// T5 (Raffel et al. 2020) as transformers' T5ForConditionalGeneration computes it.
std::shared_ptr<LanguageModel> make_t5(ModelInfo info, const T5Config& config);

}  // namespace lockstep::models
