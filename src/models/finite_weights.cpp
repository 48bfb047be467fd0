#include "lockstep/models/finite_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <algorithm>
#include <atomic>
#include <string>

#include "lockstep/core/error.h"
#include "models/kernels/vector_math.h"

namespace lockstep::models {

bool is_finite(const at::Tensor& tensor) {
  if (!is_on_host_in_fp32(tensor) || !tensor.is_contiguous()) return tensor.isfinite().all().item<bool>();
  constexpr std::int64_t kGrain = 1 << 16;
  const auto* values = tensor.const_data_ptr<float>();
  std::atomic<bool> finite = true;
  at::parallel_for(0, tensor.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    if (finite && !all_finite(values + begin, end - begin)) finite = false;
  });
  return finite;
}

void check_finite_weights(const LanguageModel& model) {
  const auto parameters = model.named_parameters();
  const auto damaged = std::ranges::find_if(parameters, [](const auto& entry) { return !is_finite(entry.value()); });
  if (damaged == parameters.end()) return;
  const std::string& origin = model.info().origin;
  throw InputError(
      fmt::format("{}: tensor '{}': expected finite weights, found NaN or infinity; the training of this model has "
                  "diverged, or its file is damaged: take an earlier checkpoint, or fetch the model again",
                  origin.empty() ? "the model" : origin, damaged->key()));
}

}  // namespace lockstep::models
