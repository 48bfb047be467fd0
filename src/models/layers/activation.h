#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "lockstep/models/layers/operand.h"

namespace lockstep::models {

/// x sigmoid(linear x + cubic x^3): SiLU (1, 0), the quick GELU (1.702, 0), and the GELU with a hyperbolic tangent,
/// whose (1 + tanh(z)) / 2 is sigmoid(2 z) (Hendrycks and Gimpel 2016).
struct Swish {
  float linear = 1, cubic = 0;
};

/// What a feed-forward layer does to each number between its linear layers, for the second of these alone.
class Activation {
 public:
  using Function = at::Tensor (*)(const at::Tensor&);
  enum class Holds { kInput, kResult };  // what the graph of the function holds for its gradient
  Activation() = default;
  Activation(Function function, Holds holds, std::optional<Swish> swish = std::nullopt)
      : function_(function), holds_(holds), swish_(swish) {}
  at::Tensor compute(const at::Tensor& x) const;
  Operand operand(const at::Tensor& x) const;
  /// activation(gate) x up.
  Operand gated(const at::Tensor& gate, const at::Tensor& up) const;

 private:
  Function function_ = nullptr;
  Holds holds_ = Holds::kInput;
  std::optional<Swish> swish_;  // the same, for the host
};
/// By the name that config.json gives it. Throws InputError, listing those known, for another.
Activation activation_by_name(const std::string& name);

}  // namespace lockstep::models
