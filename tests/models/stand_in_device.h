#pragma once

#include <c10/core/Device.h>

#include <cstddef>

namespace lockstep::models {

/// A device that stands in for a GPU: its memory is the host's, and it computes what the host would. As with a GPU, a
/// tensor on it and one on the host do not go together: an operation on both throws c10::Error, unless the host's is a
/// single number or it is a copy from one to the other. A test program that links it has it.
inline const at::Device kStandInDevice{at::kHPU, 0};

/// How often the host has read what the device computed: on a GPU it waits, each time, for all that it had asked for.
std::size_t reads_of_stand_in_device();

}  // namespace lockstep::models
