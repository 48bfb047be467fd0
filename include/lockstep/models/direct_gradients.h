#pragma once

namespace lockstep {

/// While it lives, embeddings and heads that this thread runs will add the gradients of their tables to .grad() by
/// themselves, where it is defined by then, instead of giving autograd tensors as large as the table to be added:
/// tables are most of a small model, and a batch touches few of their rows. For backward() alone, not for
/// torch::autograd::grad(). As at::NoGradGuard, it is nested and of its thread.
class DirectGradients {
 public:
  DirectGradients();
  ~DirectGradients();
  DirectGradients(const DirectGradients&) = delete;
  DirectGradients& operator=(const DirectGradients&) = delete;

  static bool active();

 private:
  bool before_;
};

}  // namespace lockstep
