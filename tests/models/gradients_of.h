#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep::test {

/// Holds the result of a function of two tensors, and its gradients for a given grad_output.
struct ValueAndGradients {
  at::Tensor value, grad_first, grad_second;
};

template <class Function>
ValueAndGradients gradients_of(const Function& function, const at::Tensor& first, const at::Tensor& second,
                               const at::Tensor& grad_output) {
  const at::Tensor a = first.detach().requires_grad_(), b = second.detach().requires_grad_();
  const at::Tensor value = function(a, b);
  value.backward(grad_output);
  return {value.detach(), a.grad(), b.grad()};
}

}  // namespace lockstep::test
