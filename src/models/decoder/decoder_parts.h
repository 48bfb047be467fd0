#pragma once

#include "models/decoder/decoder_config.h"
#include "models/layers/norm.h"

namespace lockstep::models {

// These create layers of the types that DecoderConfig selects.
std::shared_ptr<Projection> make_projection(const DecoderConfig& config, std::int64_t in, std::int64_t out,
                                            bool has_bias, ProjectionUse use);
std::shared_ptr<Norm> make_norm(const DecoderConfig& config, std::int64_t features);

// Returns the tokens that layer `layer` computes after its attention: in the last layer, only those with a label.
TokenStream stream_after_attention(const DecoderConfig& config, std::int64_t layer);

}  // namespace lockstep::models
