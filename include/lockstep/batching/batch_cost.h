#pragma once

#include <string>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/models/model.h"

namespace lockstep::batching {

/// Returns the cost of a model's forward pass in multiply-adds: per token, one for each weight of the projections that
/// the token passes; per label, one for each weight of the head; and per pair of query and key, two for each attention
/// feature, for its score and its value (Kaplan et al. 2020, section 2.1, with attention over whole rows). The last
/// layer of a decoder-only model computes only the labelled positions after its attention. Only a GPU computes a row's
/// last token, which no label depends on. Backward takes twice as much for each term, so that the shares are the same.
/// Work outside of matrix products counts as a fixed number of multiply-adds for each input and output feature of a
/// projection. A model without such projections gets the default BatchCost, which counts tokens.
BatchCost batch_cost(const LanguageModel& model);

/// Returns true if the projection at `path` is applied to tokens of the input, and false if to those of the target. In
/// a decoder-only model, all are applied to the input; in an encoder-decoder, those of the encoder and the keys and
/// values of cross-attention are.
bool reads_input_tokens(const models::ModelInfo& info, const std::string& path);
/// Returns true if the projection at `path` is applied to the output of attention.
bool is_attention_output(const std::string& path);

}  // namespace lockstep::batching
