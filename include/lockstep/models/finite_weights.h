#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/models/model.h"

namespace lockstep::models {

/// Returns whether no value of `tensor`, which may be on any device, is NaN or infinite.
bool is_finite(const at::Tensor& tensor);

/// Throws InputError, naming the model's origin and the parameter, if a weight is NaN or infinite.
void check_finite_weights(const LanguageModel& model);

}  // namespace lockstep::models
