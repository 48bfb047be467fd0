#pragma once

#include <torch/torch.h>

#include <functional>
#include <utility>
#include <vector>

namespace lockstep::models {

struct Pass;  // models/layers/pass.h

/// Recomputes a tensor of the forward pass in the backward pass, once for all its consumers, and frees it after the
/// last of them has taken it.
class Recipe : public torch::CustomClassHolder {
 public:
  using Compute = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;
  explicit Recipe(Compute compute) : compute_(std::move(compute)) {}

  /// Announces one more call of recompute(). Called in the forward pass.
  void add_consumer() { ++expected_; }
  /// Returns the recomputed tensor, without an autograd graph. `inputs` are those of the forward pass.
  at::Tensor recompute(const std::vector<at::Tensor>& inputs);
  at::Tensor compute(const std::vector<at::Tensor>& inputs) const { return compute_(inputs); }

 private:
  Compute compute_;
  int expected_ = 0;
  at::Tensor value_;
};

/// Holds the input of a linear layer, which the gradient of the weight needs again. The outputs of norms and
/// activations are recomputed in the backward pass, from tensors that the graph holds anyway, instead of being held
/// (Chen et al. 2016): they cost little compared to the product.
struct Operand {
  Operand(at::Tensor value) : x(std::move(value)) {}  // NOLINT(google-explicit-constructor): holds x
  /// Returns compute(inputs) as an operand that the backward pass recomputes if `pass` adds gradients in place and
  /// gradients are enabled. `compute` must be deterministic and must outlive the backward pass; `inputs` are held by
  /// the graph.
  static Operand repeatable(std::vector<at::Tensor> inputs, const Pass& pass, Recipe::Compute compute);
  /// Returns f(x) as an operand that is recomputed if this one is. `f` must not need held tensors for its own gradient.
  Operand then(const std::function<at::Tensor(const at::Tensor&)>& f) const;

  at::Tensor x;
  std::vector<at::Tensor> inputs = {};
  c10::intrusive_ptr<Recipe> recipe = {};  // null if x itself is held
};

/// Saves an operand in the forward pass of an autograd function: appends the tensors to hold to `saved` and stores the
/// recipe, if there is one, in `context`.
void save_operand(const Operand& operand, torch::autograd::AutogradContext& context,
                  torch::autograd::variable_list& saved);
/// Returns the operand's x in the backward pass. `saved` holds, from index `first` on, what save_operand() appended.
/// Must be called only once.
at::Tensor load_operand(torch::autograd::AutogradContext& context, const torch::autograd::variable_list& saved,
                        std::size_t first);

}  // namespace lockstep::models
