#include <ATen/ATen.h>
#include <memory>
#include <vector>

#include "train/optimizers/makers.h"

namespace lockstep::train {
namespace {

// AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2). Its state is "exp_avg" and
// "exp_avg_sq", as in torch.optim.AdamW: running means of the gradients and of their squares.
class AdamW final : public Optimizer {
 public:
  explicit AdamW(const OptimizerInputs& inputs);

 private:
  void update(const std::vector<at::Tensor>& gradients, double learning_rate) override;

  // Ranges with the same weight decay.
  struct Group {
    double weight_decay;
    std::vector<at::Tensor> parameters = {}, means = {}, squares = {};  // views
    std::vector<DecayRange> parts = {};
  };
  double beta1_, beta2_, epsilon_;
  at::Tensor updates_tensor_;  // a scalar, for the fused kernel
  std::vector<Group> groups_;
};

AdamW::AdamW(const OptimizerInputs& inputs)
    : beta1_(inputs.hyperparameters.adam_beta1),
      beta2_(inputs.hyperparameters.adam_beta2),
      epsilon_(inputs.hyperparameters.adam_epsilon),
      updates_tensor_(at::zeros({}, inputs.layout.options())) {
  const std::vector<at::Tensor> means = add_elementwise_state("exp_avg", inputs);
  const std::vector<at::Tensor> squares = add_elementwise_state("exp_avg_sq", inputs);
  for (const DecayRange& part : decayed_parts(inputs)) {
    if (groups_.empty() || groups_.back().weight_decay != part.weight_decay) {
      groups_.push_back({.weight_decay = part.weight_decay});
    }
    const auto of_part = [&](const std::vector<at::Tensor>& tensors) {
      return tensors[part.bucket].narrow(0, part.part.begin, part.part.size());
    };
    Group& group = groups_.back();
    group.parameters.push_back(of_part(inputs.own));
    group.means.push_back(of_part(means));
    group.squares.push_back(of_part(squares));
    group.parts.push_back(part);
  }
}

void AdamW::update(const std::vector<at::Tensor>& gradients, double learning_rate) {
  updates_tensor_.fill_(static_cast<double>(updates()));
  for (Group& group : groups_) {
    std::vector<at::Tensor> of_group;
    for (const DecayRange& part : group.parts) {
      of_group.push_back(gradients[part.bucket].narrow(0, part.part.begin, part.part.size()));
    }
    const std::vector<at::Tensor> updates(group.parts.size(), updates_tensor_);
    at::_fused_adamw_(group.parameters, of_group, group.means, group.squares, {}, updates, learning_rate, beta1_,
                      beta2_, group.weight_decay, epsilon_, /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace

std::unique_ptr<Optimizer> make_adamw(const OptimizerInputs& inputs) { return std::make_unique<AdamW>(inputs); }

}  // namespace lockstep::train
