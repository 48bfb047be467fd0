#pragma once

#include <cstdint>

namespace lockstep::models {

/// Returns the cross-entropy of one position with label smoothing (Szegedy et al. 2016), computed on the host: (1 -
/// smoothing) x nll(label) + smoothing x mean nll over the vocabulary. Overwrites `logits`, with their gradient if
/// `wants_gradient`. The loss is NaN if a logit is NaN or +infinity.
double cross_entropy_of_row(float* logits, std::int64_t vocabulary, std::int64_t label, double smoothing,
                            bool wants_gradient);

}  // namespace lockstep::models
