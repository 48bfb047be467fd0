#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "lockstep/comm/communicator.h"

namespace lockstep::train {

/// The most floating-point operations a second that LibTorch reaches on `device` with this thread's number of threads:
/// the fastest of some products of square matrices of `type`, for a fifth of a second; of fp32 on a CPU that has no
/// instructions for `type`.
double measure_peak_flops(at::Device device, at::ScalarType type);

/// The sum of all ranks', which measure at the same time.
double measure_peak_flops_of_ranks(at::Device device, at::ScalarType type, Communicator& communicator);

}  // namespace lockstep::train
