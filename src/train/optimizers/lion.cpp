#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <memory>
#include <vector>

#include "train/optimizers/makers.h"

namespace lockstep::train {
namespace {

struct Piece {
  at::Tensor parameter, gradient, mean;  // flat

  Piece narrow(std::int64_t begin, std::int64_t size) const {
    return {parameter.narrow(0, begin, size), gradient.narrow(0, begin, size), mean.narrow(0, begin, size)};
  }

  void update(double learning_rate, double weight_decay, double beta1, double beta2) const {
    const at::Tensor direction = at::lerp(mean, gradient, 1 - beta1).sign_();
    mean.lerp_(gradient, 1 - beta2);
    if (weight_decay != 0) parameter.mul_(1 - learning_rate * weight_decay);
    parameter.sub_(direction, learning_rate);
  }
};

// Lion: the sign of an interpolated momentum, with decoupled weight decay (Chen et al. 2023, algorithm 2). Its state
// is "exp_avg", a running mean of the gradients. Its betas are adam_beta1 and adam_beta2, as in the Hugging Face
// Trainer.
class Lion final : public Optimizer {
 public:
  explicit Lion(const OptimizerInputs& inputs);

 private:
  void update(const std::vector<at::Tensor>& gradients, double learning_rate) override;

  double beta1_, beta2_;
  std::vector<at::Tensor> own_, means_;
  std::vector<DecayRange> parts_;
};

Lion::Lion(const OptimizerInputs& inputs)
    : beta1_(inputs.hyperparameters.adam_beta1),
      beta2_(inputs.hyperparameters.adam_beta2),
      own_(inputs.own),
      means_(add_elementwise_state("exp_avg", inputs)),
      parts_(decayed_parts(inputs)) {}

void Lion::update(const std::vector<at::Tensor>& gradients, double learning_rate) {
  for (const auto& [bucket, part, decay] : parts_) {
    const double weight_decay = decay;  // clang 14 lets no lambda capture a structured binding
    const Piece all = Piece{own_[bucket], gradients[bucket], means_[bucket]}.narrow(part.begin, part.size());
    if (!all.parameter.is_cpu()) {
      all.update(learning_rate, weight_decay, beta1_, beta2_);
      continue;
    }
    const std::int64_t size = part.size();
    at::parallel_for(0, (size + kChunkElements - 1) / kChunkElements, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t begin = first * kChunkElements; begin < std::min(size, last * kChunkElements);
           begin += kChunkElements) {
        all.narrow(begin, std::min(kChunkElements, size - begin)).update(learning_rate, weight_decay, beta1_, beta2_);
      }
    });
  }
}

}  // namespace

std::unique_ptr<Optimizer> make_lion(const OptimizerInputs& inputs) { return std::make_unique<Lion>(inputs); }

}  // namespace lockstep::train
