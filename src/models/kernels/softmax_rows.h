#pragma once

#include <cstdint>

namespace lockstep::models {

/// The cross-entropy of one position on the host, whose `logits` are overwritten, with the label's probability smoothed
/// towards the mean over the vocabulary (Szegedy et al. 2016): (1 - smoothing) x nll(label) + smoothing x mean nll.
/// With `wants_gradient` the logits become their gradient. Anything not finite makes the loss NaN.
double cross_entropy_of_row(float* logits, std::int64_t vocabulary, std::int64_t label, double smoothing,
                            bool wants_gradient);

}  // namespace lockstep::models
