#pragma once

#include <torch/torch.h>

#include <functional>
#include <utility>
#include <vector>

namespace lockstep::models {

/// Computes a tensor of a forward pass again in the backward pass, for all that need it: once, and it is freed when the
/// last of them has had it.
class Recipe : public torch::CustomClassHolder {
 public:
  using Compute = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;
  explicit Recipe(Compute compute) : compute_(std::move(compute)) {}

  /// In the forward pass: says that repeat() will be called once more.
  void expect() { ++expected_; }
  /// Without a graph. `inputs` are those of the forward pass.
  at::Tensor repeat(const std::vector<at::Tensor>& inputs);
  at::Tensor compute(const std::vector<at::Tensor>& inputs) const { return compute_(inputs); }

 private:
  Compute compute_;
  int expected_ = 0;
  at::Tensor value_;
};

/// What a linear layer multiplies with its weight. Its gradient needs `x` again: what norms and activations make of
/// tensors that the graph holds anyway is computed again, rather than held (Chen et al. 2016, for operations that cost
/// little beside the product).
struct Operand {
  Operand(at::Tensor value) : x(std::move(value)) {}  // NOLINT(google-explicit-constructor): is held itself
  /// compute(inputs), to be repeated in the backward pass while this thread trains
  /// (models/layers/gradients_in_place.h). `compute` is deterministic, and outlives the pass; `inputs` are tensors that
  /// the graph holds for it.
  static Operand repeatable(std::vector<at::Tensor> inputs, Recipe::Compute compute);
  /// f(x), likewise. `f` needs nothing held for its own gradient.
  Operand then(const std::function<at::Tensor(const at::Tensor&)>& f) const;

  at::Tensor x;
  std::vector<at::Tensor> inputs = {};
  c10::intrusive_ptr<Recipe> recipe = {};  // null: x is held
};

/// For the forward pass of an autograd function: `saved` gets what its graph holds of `operand`, `context` the recipe.
void hold(const Operand& operand, torch::autograd::AutogradContext& context, torch::autograd::variable_list& saved);
/// For its backward pass, where `saved` from `first` on is what hold() gave: x. To be called once.
at::Tensor take_held(torch::autograd::AutogradContext& context, const torch::autograd::variable_list& saved,
                     std::size_t first);

}  // namespace lockstep::models
