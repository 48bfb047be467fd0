#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "lockstep/comm/communicator.h"
#include "lockstep/job/hyperparameters.h"

namespace lockstep::train {

/// Returns the type in which linear layers and the head multiply during training, by the keys bf16 and fp16. Where
/// these ask for half precision, all ranks measure products in it and in fp32: `bf16: auto` takes the faster of the
/// two, and a warning says if the type that a job demands is slower than fp32. Collective.
at::ScalarType choose_product_type(const Hyperparameters& hyperparameters, at::Device device,
                                   Communicator& communicator);

}  // namespace lockstep::train
