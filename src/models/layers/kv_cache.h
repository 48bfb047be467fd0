#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

namespace lockstep::models {

/// Caches the keys and values of one attention layer, [batch, heads, capacity, features] each. Grows by doubling.
class KvCache {
 public:
  /// Creates a cache with the keys and values of a prompt, [batch, heads, length, features].
  KvCache(const at::Tensor& keys, const at::Tensor& values);
  /// Creates an empty cache.
  KvCache() = default;

  /// Writes one position per row, `key` and `value` [batch, heads, 1, features], at `positions` [batch] int64, all
  /// below `length`. Returns views of the first `length` positions.
  std::pair<at::Tensor, at::Tensor> append(const at::Tensor& key, const at::Tensor& value, const at::Tensor& positions,
                                           std::int64_t length);
  void keep_rows(const at::Tensor& rows);

 private:
  void reserve(const at::Tensor& like, std::int64_t length);

  at::Tensor keys_, values_;
};

}  // namespace lockstep::models
