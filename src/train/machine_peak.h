#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "lockstep/comm/communicator.h"

namespace lockstep::train {

/// Returns the most floating-point operations per second that LibTorch reaches on `device` with this thread's number of
/// threads: the fastest of several products of square matrices of `type` within 0.15 s. On a CPU without instructions
/// for `type` it measures fp32.
double measure_peak_flops(at::Device device, at::ScalarType type);

/// Returns the sum over all ranks, which measure at the same time.
double measure_peak_flops_of_ranks(at::Device device, at::ScalarType type, Communicator& communicator);

}  // namespace lockstep::train
