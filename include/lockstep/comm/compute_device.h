#pragma once

#include <c10/core/Device.h>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "lockstep/comm/communicator.h"
#include "lockstep/job/choices.h"

namespace lockstep::comm {

/// The GPUs that this process may use.
struct VisibleGpus {
  int count = 0;
  std::string why_none;  // if there are none, CUDA's reason
};
VisibleGpus visible_gpus();

/// Returns the device that a rank computes on: the CPU; with kCuda, the rank's own GPU; with kAuto, a GPU if there is
/// one, otherwise the CPU. The GPU's index is the local rank, or 0 if the process sees only one. Throws InputError if
/// `choice` is kCuda and there is no GPU, or if a node has more ranks than GPUs.
at::Device compute_device(job::DeviceChoice choice, int local_rank, const VisibleGpus& gpus);

/// Loads LibTorch's GPU kernels. Programs do not load them at startup, because that takes 0.3 s and 230 MB. Throws
/// Error if LibTorch was asked for CUDA before, e.g. by torch::manual_seed(): it then keeps running without CUDA.
void load_gpu_kernels();

/// Returns the compute_device() of this rank and, if it is a GPU, makes it LibTorch's current device. Throws
/// InputError, as check_agreement() does, if other ranks compute on another kind of device.
at::Device compute_device_of_rank(job::DeviceChoice choice, Communicator& communicator);

/// Returns the bytes of a device's memory: all memory of a GPU, or memory_limit() (core/memory_limit.h) for the host.
/// Returns 0 if unknown.
std::uint64_t device_memory_bytes(at::Device device);

/// Returns `host` if `device` is the CPU or MPI is not in use; otherwise an NcclCommunicator over the ranks of `host`,
/// in which this rank uses GPU `device`. `timeout` is as in Communicator::set_timeout().
std::shared_ptr<Communicator> make_communicator_for(at::Device device, std::shared_ptr<Communicator> host,
                                                    std::chrono::seconds timeout);

}  // namespace lockstep::comm
