#include "models/layers/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace lockstep::models {
namespace {

constexpr std::int64_t kSmallestCapacity = 32;

at::Tensor grown(const at::Tensor& old, const at::Tensor& like, std::int64_t capacity) {
  at::Tensor buffer = at::zeros({like.size(0), like.size(1), capacity, like.size(3)}, like.options());
  if (old.defined()) buffer.narrow(2, 0, old.size(2)).copy_(old);
  return buffer;
}

// Copies row i of `from` [batch, heads, 1, features] to position `positions`[i] of row i of `to`.
void scatter_rows(const at::Tensor& to, const at::Tensor& from, const at::Tensor& positions) {
  const at::Tensor index = positions.view({-1, 1, 1, 1}).expand_as(from);
  at::Tensor(to).scatter_(2, index, from);
}

}  // namespace

KvCache::KvCache(const at::Tensor& keys, const at::Tensor& values) : keys_(keys), values_(values) {}

std::pair<at::Tensor, at::Tensor> KvCache::append(const at::Tensor& key, const at::Tensor& value,
                                                  const at::Tensor& positions, std::int64_t length) {
  reserve(key, length);
  scatter_rows(keys_, key, positions);
  scatter_rows(values_, value, positions);
  return {keys_.narrow(2, 0, length), values_.narrow(2, 0, length)};
}

void KvCache::keep_rows(const at::Tensor& rows) {
  if (!keys_.defined()) return;
  keys_ = keys_.index_select(0, rows);
  values_ = values_.index_select(0, rows);
}

void KvCache::reserve(const at::Tensor& like, std::int64_t length) {
  if (keys_.defined() && keys_.size(2) >= length) return;
  const std::int64_t capacity = std::max({kSmallestCapacity, 2 * length});
  keys_ = grown(keys_, like, capacity);
  values_ = grown(values_, like, capacity);
}

}  // namespace lockstep::models
