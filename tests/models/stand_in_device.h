#pragma once

#include <c10/core/Device.h>

#include <cstddef>

namespace lockstep::models {

/// A device that stands in for a GPU. It uses the host's memory and kernels, but like a GPU it does not accept tensors
/// of the host: an operation on tensors of both devices throws c10::Error, unless the host's tensor is a scalar or the
/// operation copies between devices. Linking stand_in_device.cpp registers the device.
inline const at::Device kStandInDevice{at::kHPU, 0};

/// Returns how often the host has read results of the device. On a GPU, each such read waits for all queued work.
std::size_t reads_of_stand_in_device();

}  // namespace lockstep::models
