#pragma once

#include <string>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/models/model.h"

namespace lockstep::batching {

/// The multiply-adds of a model's forward pass: one a token for each weight of the projections that the token passes,
/// one a label for each weight of the head, and for each pair of query and key two for each feature of attention, for
/// its score and its value (Kaplan et al. 2020, section 2.1, with attention over whole rows). A decoder-only model's
/// last layer computes labelled positions alone behind its attention, and GPUs alone compute a row's last token, on
/// which no label depends. Backward takes twice as many of each, so that shares of the work are the same. Of a model
/// without such projections: by tokens. Work outside of products counts as so many multiply-adds for each feature that
/// goes in and out of a projection.
BatchCost batch_cost(const LanguageModel& model);

/// Whether tokens of the input pass the projection at `path`, rather than those of the target. Of a decoder-only model,
/// all do; an encoder-decoder's cross-attention reads its keys and values from the input.
bool passes_input(const models::ModelInfo& info, const std::string& path);
/// Whether the projection at `path` takes what attention gives.
bool is_attention_output(const std::string& path);

}  // namespace lockstep::batching
