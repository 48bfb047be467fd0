#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

// Random numbers that are a function of keys, the same on every device: what masks and noise are made of.
namespace lockstep::models {

/// splitmix64's finaliser (Steele, Lea and Flood 2014).
std::uint64_t mix(std::uint64_t value);
/// Of every element, int64.
at::Tensor mix(const at::Tensor& values);

/// One of `key`'s 2^32 numbers, that of `column`: murmur3's 32-bit finaliser, twice keyed; 32-bit arithmetic, so that
/// the compiler makes eight or sixteen at a time.
[[gnu::always_inline]] inline std::uint32_t hash_of_column(std::uint64_t key, std::uint32_t column) {
  std::uint32_t hash = column * 0x9E3779B1U + static_cast<std::uint32_t>(key);
  hash = (hash ^ (hash >> 16)) * 0x85EBCA6BU;
  hash = (hash ^ static_cast<std::uint32_t>(key >> 32) ^ (hash >> 13)) * 0xC2B2AE35U;
  return hash ^ (hash >> 16);
}
/// Of columns 0 ... `columns` - 1 for `keys` [rows...] int64: [rows..., columns] int32, which stands for those without
/// a sign.
at::Tensor hash_of_columns(const at::Tensor& keys, std::int64_t columns);

}  // namespace lockstep::models
