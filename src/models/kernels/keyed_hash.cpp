#include "models/kernels/keyed_hash.h"

#include <ATen/ATen.h>

namespace lockstep::models {
namespace {

// Computes `value` ^= `value` >> `by` with a logical shift; torch's right shift is arithmetic.
void xor_shifted(at::Tensor& value, int by) {
  const int bits = value.scalar_type() == at::kLong ? 64 : 32;
  value.bitwise_xor_(at::bitwise_right_shift(value, by).bitwise_and_((std::int64_t{1} << (bits - by)) - 1));
}

at::Scalar wrapped(std::uint64_t value) { return static_cast<std::int64_t>(value); }
at::Scalar wrapped(std::uint32_t value) { return static_cast<std::int32_t>(value); }

}  // namespace

std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

at::Tensor mix(const at::Tensor& values) {
  at::Tensor mixed = values + wrapped(std::uint64_t{0x9E3779B97F4A7C15U});
  xor_shifted(mixed, 30);
  mixed.mul_(wrapped(std::uint64_t{0xBF58476D1CE4E5B9U}));
  xor_shifted(mixed, 27);
  mixed.mul_(wrapped(std::uint64_t{0x94D049BB133111EBU}));
  xor_shifted(mixed, 31);
  return mixed;
}

at::Tensor hash_of_columns(const at::Tensor& keys, std::int64_t columns) {
  const at::Tensor first = keys.bitwise_and(0xFFFFFFFF).to(at::kInt).unsqueeze(-1);
  const at::Tensor second = at::bitwise_right_shift(keys, 32).to(at::kInt).unsqueeze(-1);
  at::Tensor hash = at::arange(columns, first.options()) * wrapped(std::uint32_t{0x9E3779B1U}) + first;
  xor_shifted(hash, 16);
  hash.mul_(wrapped(std::uint32_t{0x85EBCA6BU}));
  xor_shifted(hash, 13);
  hash.bitwise_xor_(second).mul_(wrapped(std::uint32_t{0xC2B2AE35U}));
  xor_shifted(hash, 16);
  return hash;
}

}  // namespace lockstep::models
