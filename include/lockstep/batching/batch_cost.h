#pragma once

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

}  // namespace lockstep::batching
