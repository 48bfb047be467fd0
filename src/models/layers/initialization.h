#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace lockstep::models {

/// Fills a parameter with normally distributed numbers of mean 0.
void fill_normal(const at::Tensor& parameter, double standard_deviation, const at::Generator& generator);

}  // namespace lockstep::models
