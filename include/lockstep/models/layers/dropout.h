#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>

#include "lockstep/models/layers/operand.h"

namespace lockstep::models {

struct DropoutMask;

/// Dropout whose masks are a pure function of (seed, step, example, layer call, position): the same for any number
/// of ranks, any cut into micro-batches and any padding, so that one rank equals N ranks with dropout on.
/// One object serves one forward pass over one micro-batch; calls are numbered in the order of the forward pass.
/// A default-constructed one drops nothing (evaluation).
class Dropout {
 public:
  Dropout() = default;
  /// `example_ids` [rows] must outlive the object.
  Dropout(std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> example_ids);

  bool active() const { return !example_ids_.empty(); }

  /// Says which tokens the following `x` [tokens, features] are of: their places, row x `length` + position, [tokens]
  /// int64.
  void over(const at::Tensor& places, std::int64_t length);

  /// Zeroes elements of `x` [tokens, features] or [rows, heads, query, key] with `probability` and scales the rest by
  /// 1 / (1 - probability). An element's mask depends on its row's example, its position, head and column, never on
  /// the padded sizes. Returns `x` itself when inactive or `probability` is 0.
  at::Tensor operator()(const at::Tensor& x, double probability);
  Operand operator()(const Operand& x, double probability);

  /// The mask that such a call would apply, for whoever does it while computing something else; null where it would
  /// return `x` itself.
  c10::intrusive_ptr<DropoutMask> next_mask(double probability);

 private:
  std::uint64_t key_ = 0;
  std::uint64_t call_ = 0;
  std::span<const std::uint64_t> example_ids_;
  at::Tensor places_;
  std::int64_t length_ = 0;
};

}  // namespace lockstep::models
