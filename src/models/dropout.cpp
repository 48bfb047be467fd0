#include "lockstep/models/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

// splitmix64's finaliser (Steele, Lea and Flood 2014).
std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

// One row of consecutive elements: each is kept where a hash of its column exceeds the threshold. The hash is murmur3's
// 32-bit finaliser, twice keyed; 32-bit arithmetic, so that the compiler makes eight or sixteen at a time.
__attribute__((target_clones("avx512f", "avx2", "default"))) void mask_row(const float* input, float* output,
                                                                           std::int64_t columns, std::uint64_t key,
                                                                           std::uint32_t threshold, float scale) {
  const auto first = static_cast<std::uint32_t>(key);
  const auto second = static_cast<std::uint32_t>(key >> 32);
  for (std::int64_t column = 0; column < columns; ++column) {
    std::uint32_t hash = static_cast<std::uint32_t>(column) * 0x9E3779B1U + first;
    hash = (hash ^ (hash >> 16)) * 0x85EBCA6BU;
    hash = (hash ^ second ^ (hash >> 13)) * 0xC2B2AE35U;
    hash ^= hash >> 16;
    output[column] = hash >= threshold ? input[column] * scale : 0.0F;
  }
}

// Shifts to the right of whole numbers without a sign, in torch's types, which have one.
at::Tensor shift(const at::Tensor& x, int by) {
  const int bits = x.scalar_type() == at::kLong ? 64 : 32;
  return at::bitwise_right_shift(x, by).bitwise_and((std::int64_t{1} << (bits - by)) - 1);
}

at::Scalar wrapped(std::uint64_t value) { return static_cast<std::int64_t>(value); }
at::Scalar wrapped(std::uint32_t value) { return static_cast<std::int32_t>(value); }

// mix() of every element.
at::Tensor mix(at::Tensor value) {
  value = value + wrapped(std::uint64_t{0x9E3779B97F4A7C15U});
  value = value.bitwise_xor(shift(value, 30)) * wrapped(std::uint64_t{0xBF58476D1CE4E5B9U});
  value = value.bitwise_xor(shift(value, 27)) * wrapped(std::uint64_t{0x94D049BB133111EBU});
  return value.bitwise_xor(shift(value, 31));
}

// mask_row()'s choice, as operations of torch: `keys` [rows...] int64; [rows..., columns] bool.
at::Tensor kept_elements(const at::Tensor& keys, std::int64_t columns, std::uint32_t threshold) {
  const at::Tensor first = keys.bitwise_and(0xFFFFFFFF).to(at::kInt).unsqueeze(-1);
  const at::Tensor second = shift(keys, 32).to(at::kInt).unsqueeze(-1);
  at::Tensor hash = at::arange(columns, first.options()) * wrapped(std::uint32_t{0x9E3779B1U}) + first;
  hash = hash.bitwise_xor_(shift(hash, 16)).mul_(wrapped(std::uint32_t{0x85EBCA6BU}));
  hash = hash.bitwise_xor_(shift(hash, 13)).bitwise_xor_(second).mul_(wrapped(std::uint32_t{0xC2B2AE35U}));
  hash = hash.bitwise_xor_(shift(hash, 16));
  constexpr std::uint32_t kSign = 0x80000000U;  // turned over, numbers with a sign are in the order of those without
  return hash.bitwise_xor_(wrapped(kSign)).ge(wrapped(threshold ^ kSign));
}

struct Mask {
  std::vector<std::uint64_t> row_keys;  // [batch], of (seed, step, call, example)
  std::uint32_t threshold;
  float scale;

  // `x` is [batch, rows..., columns]; a row's key follows from its indices.
  at::Tensor apply(const at::Tensor& x) const { return x.is_cpu() ? apply_on_host(x) : apply_on_device(x); }

  at::Tensor apply_on_device(const at::Tensor& x) const {
    const at::Tensor of_examples =
        at::from_blob(const_cast<std::uint64_t*>(row_keys.data()), {x.size(0)}, at::TensorOptions(at::kLong))
            .to(x.device());
    const at::TensorOptions whole = of_examples.options();
    at::Tensor keys = of_examples.unsqueeze(-1);
    if (x.dim() == 4) keys = (keys + at::arange(x.size(1), whole) * (std::int64_t{1} << 40)).unsqueeze(-1);
    keys = mix(keys + at::arange(x.size(-2), whole));
    return at::where(kept_elements(keys, x.size(-1), threshold), x * scale, at::Scalar(0.0));
  }

  at::Tensor apply_on_host(const at::Tensor& x) const {
    const at::Tensor input = x.contiguous();
    at::Tensor output = at::empty_like(input);
    const std::int64_t columns = x.size(-1);
    const std::int64_t inner = x.dim() == 4 ? x.size(2) : x.size(1);
    const std::int64_t outer = x.dim() == 4 ? x.size(1) : 1;
    const auto* from = input.const_data_ptr<float>();
    auto* to = output.data_ptr<float>();
    at::parallel_for(0, x.size(0) * outer * inner, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const auto position = static_cast<std::uint64_t>(row % inner);
        const auto head = static_cast<std::uint64_t>(row / inner % outer);
        const std::uint64_t key =
            mix(row_keys[static_cast<std::size_t>(row / (inner * outer))] + (head << 40) + position);
        mask_row(from + row * columns, to + row * columns, columns, key, threshold, scale);
      }
    });
    return output;
  }
};

class DropoutFunction : public torch::autograd::Function<DropoutFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const Mask& mask) {
    context->saved_data["keys"] = std::vector<std::int64_t>(mask.row_keys.begin(), mask.row_keys.end());
    context->saved_data["threshold"] = static_cast<std::int64_t>(mask.threshold);
    context->saved_data["scale"] = static_cast<double>(mask.scale);
    return mask.apply(x);
  }

  // The mask is computed again rather than kept.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto keys = context->saved_data["keys"].toIntVector();
    const Mask mask{{keys.begin(), keys.end()},
                    static_cast<std::uint32_t>(context->saved_data["threshold"].toInt()),
                    static_cast<float>(context->saved_data["scale"].toDouble())};
    return {mask.apply(gradients[0]), at::Tensor()};
  }
};

}  // namespace

Dropout::Dropout(std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> example_ids)
    : key_(mix(mix(seed) + step)), example_ids_(example_ids) {}

at::Tensor Dropout::operator()(const at::Tensor& x, double probability) {
  if (!active() || probability == 0) return x;
  if (x.size(0) != static_cast<std::int64_t>(example_ids_.size()) || (x.dim() != 3 && x.dim() != 4)) {
    throw Error("dropout: expected [batch, length, features] or [batch, heads, query, key]");
  }
  const std::uint64_t call_key = mix(key_ + ++call_);
  Mask mask{{},
            static_cast<std::uint32_t>(std::min(probability * 4294967296.0, 4294967295.0)),
            static_cast<float>(1 / (1 - probability))};
  for (const std::uint64_t example : example_ids_) mask.row_keys.push_back(mix(call_key ^ mix(example)));
  return DropoutFunction::apply(x, mask);
}

}  // namespace lockstep
