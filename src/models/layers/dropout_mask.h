#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <vector>

namespace lockstep::models {

/// Which elements one call of a Dropout keeps. A graph of autograd holds it rather than a tensor of them.
struct DropoutMask : torch::CustomClassHolder {
  static constexpr int kHeadShift = 40;

  std::vector<std::uint64_t> row_keys;  // [rows], of (seed, step, call, example)
  at::Tensor places;                    // [tokens] int64, row x length + position: where [tokens, features] are
  std::int64_t length = 0;
  std::uint32_t threshold = 0;
  float scale = 1;

  /// Of the elements that are of one row, head and position.
  std::uint64_t key(std::int64_t row, std::int64_t head, std::int64_t position) const;
  /// Zeroes or scales `columns` of the elements of `key`, from `first_column` on. `input` may be `output`. On the host.
  void apply(const float* input, float* output, std::int64_t first_column, std::int64_t columns,
             std::uint64_t key) const;
};

}  // namespace lockstep::models
