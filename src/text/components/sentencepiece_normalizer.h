#pragma once

#include <memory>

#include "lockstep/core/json.h"
#include "text/components/normalizer.h"

namespace lockstep::text {

/// The sentencepiece library's own normalization (its normalizer.cc) with T5's settings: the longest rule at each
/// place, then one blank before the text, none behind it, runs of spaces as one, and U+2581 for each space.
/// `precompiled` is a Precompiled component, or null for a model without rules.
std::unique_ptr<const Normalizer> make_sentencepiece_normalizer(const Json& precompiled);

}  // namespace lockstep::text
