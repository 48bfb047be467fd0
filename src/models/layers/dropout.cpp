#include "lockstep/models/layers/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/models/layers/packed_rows.h"
#include "models/kernels/keyed_hash.h"
#include "models/kernels/vector_math.h"
#include "models/layers/dropout_mask.h"

namespace lockstep::models {
namespace {

// Masks consecutive elements of a row, from column `first_column` on. An element is kept if the hash of its column is
// at least the threshold.
LOCKSTEP_VECTORISED void mask_row(const float* input, float* output, std::int64_t first_column, std::int64_t columns,
                                  std::uint64_t key, std::uint32_t threshold, float scale) {
  for (std::int64_t i = 0; i < columns; ++i) {
    const std::uint32_t hash = hash_of_column(key, static_cast<std::uint32_t>(first_column + i));
    output[i] = choose(hash >= threshold, input[i] * scale, 0.0F);
  }
}

at::Tensor apply_on_device(const DropoutMask& mask, const at::Tensor& x) {
  const at::Tensor of_rows =
      to_device(at::from_blob(const_cast<std::uint64_t*>(mask.row_keys.data()),
                              {static_cast<std::int64_t>(mask.row_keys.size())}, at::TensorOptions(at::kLong)),
                x.device());
  const at::TensorOptions whole = of_rows.options();
  at::Tensor keys;
  if (x.dim() == 2) {
    keys =
        of_rows.index_select(0, at::floor_divide(mask.places, mask.length)) + at::remainder(mask.places, mask.length);
  } else {
    keys = of_rows.unsqueeze(-1) + at::arange(x.size(1), whole) * (std::int64_t{1} << DropoutMask::kHeadShift);
    keys = keys.unsqueeze(-1) + at::arange(x.size(2), whole);
  }
  constexpr std::uint32_t kSign = 0x80000000U;  // flipped, so that signed comparison orders unsigned numbers
  const at::Tensor hash = hash_of_columns(mix(keys), x.size(-1)).bitwise_xor_(static_cast<std::int32_t>(kSign));
  return at::where(hash.ge(static_cast<std::int32_t>(mask.threshold ^ kSign)), x * mask.scale, at::Scalar(0.0));
}

at::Tensor apply_on_host(const DropoutMask& mask, const at::Tensor& x) {
  const at::Tensor input = x.contiguous();
  at::Tensor output = at::empty_like(input);
  const std::int64_t columns = x.size(-1);
  const bool is_packed = x.dim() == 2;
  const auto* place = is_packed ? mask.places.const_data_ptr<std::int64_t>() : nullptr;
  const std::int64_t heads = is_packed ? 1 : x.size(1), positions = is_packed ? mask.length : x.size(2);
  const auto* from = input.const_data_ptr<float>();
  auto* to = output.data_ptr<float>();
  at::parallel_for(0, x.numel() / std::max<std::int64_t>(1, columns), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = is_packed ? place[i] : i;
      const std::uint64_t key = mask.key(at / (heads * positions), at / positions % heads, at % positions);
      mask.apply(from + i * columns, to + i * columns, 0, columns, key);
    }
  });
  return output;
}

at::Tensor masked(const DropoutMask& mask, const at::Tensor& x) {
  return x.is_cpu() ? apply_on_host(mask, x) : apply_on_device(mask, x);
}

class DropoutFunction : public torch::autograd::Function<DropoutFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<DropoutMask>& mask) {
    context->saved_data["mask"] = c10::IValue::make_capsule(mask);
    return masked(*mask, x);
  }

  // The mask is recomputed rather than held.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto capsule = context->saved_data["mask"].toCapsule();
    return {masked(static_cast<const DropoutMask&>(*capsule), gradients[0]), at::Tensor()};
  }
};

}  // namespace

std::uint64_t DropoutMask::key(std::int64_t row, std::int64_t head, std::int64_t position) const {
  return mix(row_keys[static_cast<std::size_t>(row)] + (static_cast<std::uint64_t>(head) << kHeadShift) +
             static_cast<std::uint64_t>(position));
}

void DropoutMask::apply(const float* input, float* output, std::int64_t first_column, std::int64_t columns,
                        std::uint64_t key) const {
  mask_row(input, output, first_column, columns, key, threshold, scale);
}

Dropout::Dropout(std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> example_ids)
    : key_(mix(mix(seed) + step)), example_ids_(example_ids) {}

void Dropout::over(const at::Tensor& places, std::int64_t length) {
  places_ = places;
  length_ = length;
}

at::Tensor Dropout::operator()(const at::Tensor& x, double probability) { return (*this)(Operand(x), probability).x; }

Operand Dropout::operator()(const Operand& operand, double probability) {
  const c10::intrusive_ptr<DropoutMask> mask = next_mask(probability);
  if (!mask) return operand;
  const at::Tensor& x = operand.x;
  const bool fits = x.dim() == 2 ? places_.defined() && x.size(0) == places_.numel()
                                 : x.dim() == 4 && x.size(0) == static_cast<std::int64_t>(example_ids_.size());
  if (!fits) throw Error("dropout: expected [tokens, features] of the tokens given, or [rows, heads, query, key]");
  return operand.then([mask](const at::Tensor& whole) { return DropoutFunction::apply(whole, mask); });
}

c10::intrusive_ptr<DropoutMask> Dropout::next_mask(double probability) {
  if (!active() || probability == 0) return {};
  const std::uint64_t call_key = mix(key_ + ++call_);
  auto mask = c10::make_intrusive<DropoutMask>();
  mask->threshold = static_cast<std::uint32_t>(std::min(probability * 4294967296.0, 4294967295.0));
  mask->scale = static_cast<float>(1 / (1 - probability));
  mask->places = places_;
  mask->length = length_;
  for (const std::uint64_t example : example_ids_) mask->row_keys.push_back(mix(call_key ^ mix(example)));
  return mask;
}

}  // namespace lockstep::models
