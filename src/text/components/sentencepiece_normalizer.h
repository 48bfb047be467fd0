#pragma once

#include <memory>

#include "lockstep/core/json.h"
#include "text/components/normalizer.h"

namespace lockstep::text {

/// Creates the normalizer of the sentencepiece library (its normalizer.cc) with T5's settings: the longest rule at each
/// position, then one blank before the text, none after it, runs of spaces collapsed, and U+2581 for each space.
/// `precompiled` is a Precompiled component, or null for a model without rules.
std::unique_ptr<const Normalizer> make_sentencepiece_normalizer(const Json& precompiled);

}  // namespace lockstep::text
