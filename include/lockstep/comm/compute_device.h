#pragma once

#include <c10/core/Device.h>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// The GPUs that this process may use.
struct VisibleGpus {
  int count = 0;
  std::string why_none;  // if there are none, what CUDA says
};
VisibleGpus visible_gpus();

/// Where a rank computes by the job's `device`: cpu; cuda, its own GPU; auto, cuda where there is a GPU. The GPU's
/// number is the rank's among those of its node, or 0 where the launcher shows each rank one only. Throws InputError
/// where `device` is cuda and there is no GPU, or where a node has more ranks than GPUs.
at::Device compute_device(const std::string& device, int local_rank, const VisibleGpus& gpus);

/// Loads LibTorch's kernels for GPUs. Programs do not at their start, since it takes them 0.3 s and 230 MB. Throws
/// Error if LibTorch was asked for CUDA before, e.g. by torch::manual_seed(): it then goes on without.
void load_gpu_kernels();

/// compute_device() of this rank; a GPU becomes LibTorch's current one. Throws InputError, as check_agreement() does,
/// if other ranks compute on another kind of device.
at::Device compute_device_of_rank(const std::string& device, Communicator& communicator);

/// The bytes of a device: of a GPU's memory, or memory_limit() (core/memory_limit.h) of the host. 0: unknown.
std::uint64_t memory_of_device(at::Device device);

/// `host` where it computes on the host, or without MPI; else its ranks joined by NCCL, too, this one with GPU
/// `device`. `timeout` as in Communicator::set_timeout().
std::shared_ptr<Communicator> make_communicator_for(at::Device device, std::shared_ptr<Communicator> host,
                                                    std::chrono::seconds timeout);

}  // namespace lockstep::comm
