#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <vector>

namespace lockstep::models {

/// Describes the elements that one call of a Dropout keeps. The autograd graph holds this instead of a mask tensor.
struct DropoutMask : torch::CustomClassHolder {
  static constexpr int kHeadShift = 40;

  std::vector<std::uint64_t> row_keys;  // [rows], hashes of (seed, step, call, example)
  at::Tensor places;                    // [tokens] int64, row x length + position, for packed inputs
  std::int64_t length = 0;
  std::uint32_t threshold = 0;
  float scale = 1;

  /// Returns the key of the elements at one row, head and position.
  std::uint64_t key(std::int64_t row, std::int64_t head, std::int64_t position) const;
  /// Zeroes or scales `columns` elements under `key`, from `first_column` on, on the host. `input` may equal `output`.
  void apply(const float* input, float* output, std::int64_t first_column, std::int64_t columns,
             std::uint64_t key) const;
};

}  // namespace lockstep::models
