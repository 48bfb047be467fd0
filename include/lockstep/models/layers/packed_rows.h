#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <cstdint>
#include <span>
#include <vector>

namespace lockstep::models {

/// Describes rows of different lengths that are stored one after another without padding, as [tokens, features], so
/// that token-wise layers compute no padding. A token's place is its index among rows padded to a common length.
struct PackedRows {
  PackedRows() = default;
  explicit PackedRows(std::span<const std::int64_t> lengths);

  std::int64_t rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t tokens() const { return offsets.back(); }
  bool has_padding() const { return tokens() != rows() * length; }

  /// Returns the rows shortened to their first `lengths` tokens; the places of the tokens stay the same.
  PackedRows first(std::span<const std::int64_t> lengths) const;

  /// Converts [tokens, ...] to [rows, length, ...], with zeros as padding.
  at::Tensor pad(const at::Tensor& packed) const;
  /// Converts [rows, length, ...] to [tokens, ...].
  at::Tensor pack(const at::Tensor& padded) const;
  /// Returns the position of each token in its row, [tokens] int64.
  at::Tensor positions() const;
  /// Returns a bias for attention scores, 0 at tokens and -inf at padding: [rows, 1, 1, length].
  at::Tensor padding_bias() const;

  /// Returns a copy with its tensors on `device`. A copy to a GPU goes through page-locked memory and does not block
  /// the host.
  PackedRows to(at::Device device) const;

  std::vector<std::int64_t> offsets = {0};  // [rows + 1]: first token of each row, then the number of tokens
  std::int64_t length = 0;                  // of the longest row before first()
  at::Tensor places;                        // [tokens] int64: row x length + position

 private:
  PackedRows(std::span<const std::int64_t> lengths, std::int64_t longest);
};

/// Returns `tensor` on `device`. A copy to a GPU goes through page-locked memory and does not block the host.
at::Tensor to_device(const at::Tensor& tensor, at::Device device);

}  // namespace lockstep::models
