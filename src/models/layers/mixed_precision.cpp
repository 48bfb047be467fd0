#include "lockstep/models/layers/mixed_precision.h"

#include <ATen/ATen.h>

namespace lockstep::models {

bool cpu_has([[maybe_unused]] at::ScalarType type) {
#if defined(__x86_64__) && (!defined(__clang__) || __clang_major__ >= 16)  // older ones do not know avx512fp16
  if (type == at::kHalf) return __builtin_cpu_supports("avx512fp16") != 0;
  if (type == at::kBFloat16) return __builtin_cpu_supports("avx512bf16") != 0;
#endif
  return true;
}

at::Tensor RoundedWeights::get(const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  if (!keeps_) return weight.to(type_);
  at::Tensor& kept = kept_[weight.unsafeGetTensorImpl()];
  if (!kept.defined()) kept = weight.to(type_);
  return kept;
}

}  // namespace lockstep::models
