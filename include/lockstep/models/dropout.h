#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>

namespace lockstep {

/// Dropout whose masks are a pure function of (seed, step, example, layer call, position): the same for any number
/// of ranks, any cut into micro-batches and any padding, so that one rank equals N ranks with dropout on.
/// One object serves one forward pass over one micro-batch; calls are numbered in the order of the forward pass.
/// A default-constructed one drops nothing (evaluation).
class Dropout {
 public:
  Dropout() = default;
  /// `example_ids` [batch] must outlive the object.
  Dropout(std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> example_ids);

  bool active() const { return !example_ids_.empty(); }

  /// Zeroes elements of `x` [batch, positions..., features] with `probability` and scales the rest by
  /// 1 / (1 - probability). `x` is [batch, length, features] or [batch, heads, query, key]; an element's mask
  /// depends on its indices, never on the padded sizes. Returns `x` itself when inactive or `probability` is 0.
  at::Tensor operator()(const at::Tensor& x, double probability);

 private:
  std::uint64_t key_ = 0;
  std::uint64_t call_ = 0;
  std::span<const std::uint64_t> example_ids_;
};

}  // namespace lockstep
