#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "lockstep/models/layers/operand.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Describes x sigmoid(linear x + cubic x^3), which covers SiLU (1, 0), quick GELU (1.702, 0) and the tanh
/// approximation of GELU, since (1 + tanh(z)) / 2 is sigmoid(2 z) (Hendrycks and Gimpel 2016).
struct Swish {
  float linear = 1, cubic = 0;
};

/// Represents the elementwise activation of a feed-forward layer. Its results are operands of the second linear layer
/// only.
class Activation {
 public:
  using Function = at::Tensor (*)(const at::Tensor&);
  enum class Holds { kInput, kResult };  // what autograd holds for the function's gradient
  Activation() = default;
  Activation(Function function, Holds holds, std::optional<Swish> swish = std::nullopt)
      : function_(function), holds_(holds), swish_(swish) {}
  at::Tensor compute(const at::Tensor& x) const;
  Operand operand(const at::Tensor& x, const Pass& pass) const;
  /// Returns activation(gate) x up.
  Operand gated(const at::Tensor& gate, const at::Tensor& up, const Pass& pass) const;

 private:
  Function function_ = nullptr;
  Holds holds_ = Holds::kInput;
  std::optional<Swish> swish_;  // the same function in the form of the host's kernels
};
/// Returns the activation with the given name in config.json. Throws InputError, listing the supported names, if it is
/// unknown.
Activation activation_by_name(const std::string& name);

}  // namespace lockstep::models
