#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>

#include "lockstep/models/layers/operand.h"

namespace lockstep::models {

struct DropoutMask;

/// Applies dropout whose masks are a pure function of (seed, step, example, layer call, position). They do not depend
/// on the number of ranks, the division into micro-batches or the padding, so one rank and N ranks give the same
/// results with dropout. One object serves one forward pass over one micro-batch; calls are numbered in the order of
/// the forward pass. A default-constructed object drops nothing (evaluation).
class Dropout {
 public:
  Dropout() = default;
  /// Prepares the masks of one forward pass. `example_ids` [rows] must outlive the object.
  Dropout(std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> example_ids);

  bool active() const { return !example_ids_.empty(); }

  /// Sets the tokens to which the next `x` [tokens, features] belong, by their places [tokens] int64: row x `length` +
  /// position.
  void over(const at::Tensor& places, std::int64_t length);

  /// Zeroes elements of `x` [tokens, features] or [rows, heads, query, key] with `probability` and scales the rest by
  /// 1 / (1 - probability). An element's mask depends on the example of its row and on its position, head and column,
  /// never on the padded sizes. Returns `x` itself when inactive or when `probability` is 0.
  at::Tensor operator()(const at::Tensor& x, double probability);
  Operand operator()(const Operand& x, double probability);

  /// Returns the mask that the next call would apply, for kernels that apply it themselves; null if the call would
  /// return `x` itself. Counts as a call.
  c10::intrusive_ptr<DropoutMask> next_mask(double probability);

 private:
  std::uint64_t key_ = 0;
  std::uint64_t call_ = 0;
  std::span<const std::uint64_t> example_ids_;
  at::Tensor places_;
  std::int64_t length_ = 0;
};

}  // namespace lockstep::models
