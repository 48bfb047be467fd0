#include "lockstep/models/embedding_noise.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <cmath>

namespace lockstep {
namespace {

// splitmix64's finaliser (Steele, Lea and Flood 2014).
std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

// `value` ^= `value` >> `by`, without the sign, which torch's shifts keep.
void xor_shifted(at::Tensor& value, int by) {
  const int bits = value.scalar_type() == at::kLong ? 64 : 32;
  value.bitwise_xor_(at::bitwise_right_shift(value, by).bitwise_and_((std::int64_t{1} << (bits - by)) - 1));
}

at::Scalar wrapped(std::uint64_t value) { return static_cast<std::int64_t>(value); }
at::Scalar wrapped(std::uint32_t value) { return static_cast<std::int32_t>(value); }

// mix() of each element.
at::Tensor mixed(at::Tensor value) {
  value = value + wrapped(std::uint64_t{0x9E3779B97F4A7C15U});
  xor_shifted(value, 30);
  value.mul_(wrapped(std::uint64_t{0xBF58476D1CE4E5B9U}));
  xor_shifted(value, 27);
  value.mul_(wrapped(std::uint64_t{0x94D049BB133111EBU}));
  xor_shifted(value, 31);
  return value;
}

// [tokens, features] in -1 ... 1: murmur3's 32-bit finaliser of the feature, twice keyed by `keys` [tokens] int64.
at::Tensor uniform(const at::Tensor& keys, std::int64_t features) {
  const at::Tensor first = keys.bitwise_and(0xFFFFFFFF).to(at::kInt).unsqueeze(1);
  const at::Tensor second = at::bitwise_right_shift(keys, 32).to(at::kInt).unsqueeze(1);
  at::Tensor hash = at::arange(features, first.options()) * wrapped(std::uint32_t{0x9E3779B1U}) + first;
  xor_shifted(hash, 16);
  hash.mul_(wrapped(std::uint32_t{0x85EBCA6BU}));
  xor_shifted(hash, 13);
  hash.bitwise_xor_(second).mul_(wrapped(std::uint32_t{0xC2B2AE35U}));
  xor_shifted(hash, 16);
  return hash.to(at::kFloat).mul_(std::ldexp(1.0, -31));
}

}  // namespace

EmbeddingNoise::EmbeddingNoise(double alpha, std::uint64_t seed, std::uint64_t step,
                               std::span<const std::uint64_t> example_ids)
    : alpha_(alpha) {
  constexpr std::uint64_t kStream = 0x4E454654756E65U;  // apart from the masks of dropout
  const std::uint64_t key = mix(mix(mix(seed) + step) ^ kStream);
  for (const std::uint64_t example : example_ids) {
    row_keys_.push_back(static_cast<std::int64_t>(mix(key ^ mix(example))));
  }
}

at::Tensor EmbeddingNoise::add_to(const at::Tensor& x, const at::Tensor& places, std::int64_t length,
                                  const at::Tensor& lengths, Embedded embedded) const {
  if (alpha_ == 0) return x;
  at::Tensor noise;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor rows = at::floor_divide(places, length);
    const at::Tensor of_rows =
        at::tensor(row_keys_, at::kLong).to(x.device()) + wrapped(mix(static_cast<std::uint64_t>(embedded)));
    noise = uniform(mixed(of_rows.index_select(0, rows) + at::remainder(places, length)), x.size(1));
    const at::Tensor largest = alpha_ / (lengths.to(at::kFloat) * static_cast<double>(x.size(1))).sqrt_();
    noise.mul_(largest.index_select(0, rows).unsqueeze(1));
  }
  return x + noise;
}

at::Tensor EmbeddingNoise::add_to(const at::Tensor& x, const at::Tensor& lengths, Embedded embedded) const {
  if (alpha_ == 0) return x;
  const at::Tensor places = at::arange(x.size(0) * x.size(1), lengths.options());
  return add_to(x.flatten(0, 1), places, x.size(1), lengths, embedded).view_as(x);
}

}  // namespace lockstep
