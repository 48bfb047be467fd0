#include "train/machine_peak.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <chrono>

#include "lockstep/models/layers/mixed_precision.h"

namespace lockstep::train {

double measure_peak_flops(at::Device device, at::ScalarType type) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kFor{150};
  const std::int64_t size = device.is_cuda() ? 8192 : 1024;
  const at::NoGradGuard no_grad;
  const at::ScalarType fastest = device.is_cpu() && !models::cpu_has(type) ? at::kFloat : type;
  const at::Tensor a = at::full({size, size}, 0.5, at::TensorOptions(fastest).device(device));
  at::Tensor product = at::empty_like(a);
  const auto multiply = [&] {
    at::mm_out(product, a, a);
    product.select(0, 0).select(0, 0).item();  // waits for the GPU
  };
  multiply();
  double shortest_s = 0;
  const auto end = Clock::now() + kFor;
  for (auto start = Clock::now(); start < end || shortest_s == 0;) {
    multiply();
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - start).count();
    shortest_s = shortest_s == 0 ? seconds : std::min(shortest_s, seconds);
    start = now;
  }
  return 2 * static_cast<double>(size * size * size) / shortest_s;
}

double measure_peak_flops_of_ranks(at::Device device, at::ScalarType type, Communicator& communicator) {
  communicator.barrier();
  at::Tensor sum = at::full({1}, measure_peak_flops(device, type), at::kDouble);
  communicator.all_reduce_sum(sum);
  return sum.item<double>();
}

}  // namespace lockstep::train
