#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

// Random numbers for dropout masks and embedding noise, as pure functions of keys that give the same values on every
// device.
namespace lockstep::models {

/// Returns the next output of a splitmix64 generator (Steele, Lea and Flood 2014) with the state `value`.
std::uint64_t mix(std::uint64_t value);
/// Applies mix() to every element of an int64 tensor.
at::Tensor mix(const at::Tensor& values);

/// Returns the 32-bit hash of `column` under `key`: murmur3's 32-bit finaliser, keyed with both halves of `key`. 32-bit
/// arithmetic lets the compiler compute eight or sixteen hashes at a time.
[[gnu::always_inline]] inline std::uint32_t hash_of_column(std::uint64_t key, std::uint32_t column) {
  std::uint32_t hash = column * 0x9E3779B1U + static_cast<std::uint32_t>(key);
  hash = (hash ^ (hash >> 16)) * 0x85EBCA6BU;
  hash = (hash ^ static_cast<std::uint32_t>(key >> 32) ^ (hash >> 13)) * 0xC2B2AE35U;
  return hash ^ (hash >> 16);
}
/// Returns hash_of_column() of columns 0 ... `columns` - 1 for `keys` [rows...] int64: [rows..., columns] int32 with
/// the bits of the unsigned hashes.
at::Tensor hash_of_columns(const at::Tensor& keys, std::int64_t columns);

}  // namespace lockstep::models
