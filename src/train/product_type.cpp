#include "train/product_type.h"

#include <ATen/ATen.h>
#include <spdlog/spdlog.h>

#include "lockstep/models/layers/mixed_precision.h"
#include "train/machine_peak.h"

namespace lockstep::train {

at::ScalarType choose_product_type(const Hyperparameters& hyperparameters, at::Device device,
                                   Communicator& communicator) {
  using job::Bf16Products;
  if (hyperparameters.bf16 == Bf16Products::kOff && !hyperparameters.fp16) return at::kFloat;
  const at::ScalarType half = hyperparameters.fp16 ? at::kHalf : at::kBFloat16;
  const char* name = hyperparameters.fp16 ? "fp16" : "bf16";
  // A CPU without instructions for a type computes it number by number; measuring that would take seconds.
  const bool has_instructions = !device.is_cpu() || models::cpu_has(half);
  at::Tensor flops = at::zeros({2}, at::kDouble);  // half precision, fp32
  auto* sums = flops.data_ptr<double>();
  communicator.barrier();
  sums[0] = has_instructions ? measure_peak_flops(device, half) : 0;
  sums[1] = measure_peak_flops(device, at::kFloat);
  communicator.all_reduce_sum(flops);
  const double half_flops = sums[0], full_flops = sums[1];
  const bool pays = half_flops > full_flops;
  if (hyperparameters.bf16 == Bf16Products::kAuto) {
    spdlog::info(
        "bf16: auto: products reach {:.0f} Gflop/s in bf16 and {:.0f} in fp32, so training computes them in {}",
        half_flops / 1e9, full_flops / 1e9, pays ? "bf16" : "fp32");
    return pays ? at::kBFloat16 : at::kFloat;
  }
  if (!pays && half_flops == 0) {
    spdlog::warn("{}: this CPU has no instructions for it ({}), so steps take longer than with fp32; leave it out",
                 name, half == at::kHalf ? "avx512_fp16" : "avx512_bf16");
  } else if (!pays) {
    spdlog::warn(
        "{}: products reach {:.0f} Gflop/s in {}, but {:.0f} in fp32 on this machine, so steps take longer; leave it "
        "out, or set bf16: auto",
        name, half_flops / 1e9, name, full_flops / 1e9);
  }
  return half;
}

}  // namespace lockstep::train
