#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <cstdint>
#include <span>
#include <vector>

namespace lockstep::models {

/// Rows of different lengths, one after another without padding: what is computed for each token by itself sees
/// [tokens, features], and none in vain. A token's place is where it would be in rows padded to a common length.
struct PackedRows {
  PackedRows() = default;
  explicit PackedRows(std::span<const std::int64_t> lengths);

  std::int64_t rows() const { return static_cast<std::int64_t>(begins.size()) - 1; }
  std::int64_t tokens() const { return begins.back(); }
  bool has_padding() const { return tokens() != rows() * length; }

  /// Of each row the first `lengths`, where they are.
  PackedRows first(std::span<const std::int64_t> lengths) const;

  /// [tokens, ...] to [rows, length, ...], with zeros behind each row.
  at::Tensor pad(const at::Tensor& packed) const;
  /// [rows, length, ...] to [tokens, ...].
  at::Tensor pack(const at::Tensor& padded) const;
  /// Each token's in its row, [tokens] int64.
  at::Tensor positions() const;
  /// 0 where padded rows have a token, -inf behind: [rows, 1, 1, length].
  at::Tensor padding_bias() const;

  /// The same with its tensors on `device`. From page-locked memory to a GPU, without a wait.
  PackedRows to(at::Device device) const;

  std::vector<std::int64_t> begins = {0};  // [rows + 1]: each row's first token, and the number of tokens
  std::int64_t length = 0;                 // of the longest row, whole
  at::Tensor places;                       // [tokens] int64: row x length + position

 private:
  PackedRows(std::span<const std::int64_t> lengths, std::int64_t longest);
};

/// `tensor` on `device`. From page-locked memory to a GPU, without a wait.
at::Tensor moved(const at::Tensor& tensor, at::Device device);

}  // namespace lockstep::models
