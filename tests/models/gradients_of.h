#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep::test {

/// What a function of two tensors gives, and its gradients under that of the result.
struct ValueAndGradients {
  at::Tensor value, of_first, of_second;
};

template <class Function>
ValueAndGradients gradients_of(const Function& function, const at::Tensor& first, const at::Tensor& second,
                               const at::Tensor& upper) {
  const at::Tensor a = first.detach().requires_grad_(), b = second.detach().requires_grad_();
  const at::Tensor value = function(a, b);
  value.backward(upper);
  return {value.detach(), a.grad(), b.grad()};
}

}  // namespace lockstep::test
