#include "lockstep/comm/compute_device.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <utility>

#include "comm/nccl/nccl_communicator.h"
#include "lockstep/comm/agreement.h"
#include "lockstep/comm/mpi/mpi_communicator.h"
#include "lockstep/core/launch_environment.h"
#include "lockstep/core/memory_limit.h"

namespace lockstep::comm {

VisibleGpus visible_gpus() {
  VisibleGpus gpus;
  const cudaError_t status = cudaGetDeviceCount(&gpus.count);
  if (status == cudaSuccess && gpus.count > 0) return gpus;
  cudaGetLastError();  // clears the error, so that no later check finds it
  return {0, status == cudaSuccess ? "no device" : cudaGetErrorString(status)};
}

at::Device compute_device(job::DeviceChoice choice, int local_rank, const VisibleGpus& gpus) {
  using job::DeviceChoice;
  if (choice == DeviceChoice::kCpu || (choice == DeviceChoice::kAuto && gpus.count == 0)) return at::kCPU;
  if (gpus.count == 0) {
    throw InputError(
        fmt::format("device: cuda: expected a GPU, found none (CUDA: {}); ask the scheduler for one (Slurm: "
                    "--gpus-per-task=1), check CUDA_VISIBLE_DEVICES and the driver, or set device: cpu",
                    gpus.why_none));
  }
  if (gpus.count == 1) return {at::kCUDA, 0};
  if (local_rank >= gpus.count) {
    throw InputError(
        fmt::format("device: {}: expected a GPU for each rank of a node, found {} GPUs for rank {} of this one; start "
                    "as many ranks per node as it has GPUs",
                    name_of(choice), gpus.count, local_rank));
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(local_rank)};
}

void load_gpu_kernels() {
  if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    throw Error(
        fmt::format("LibTorch's kernels for GPUs: {}; link a LibTorch for CUDA, or set device: cpu", ::dlerror()));
  }
  if (at::detail::getCUDAHooks().hasCUDART()) return;
  throw Error(
      "LibTorch was asked for CUDA before its kernels for GPUs were loaded; call load_gpu_kernels() at program start, "
      "or link libtorch_cuda.so");
}

at::Device compute_device_of_rank(job::DeviceChoice choice, Communicator& communicator) {
  at::Device chosen = at::kCPU;
  run_on_all(communicator, [&] {
    chosen = compute_device(choice, communicator.local_rank(), visible_gpus());
    if (!chosen.is_cuda()) return;
    load_gpu_kernels();
    c10::cuda::set_device(chosen.index());
  });
  if (communicator.world_size() > 1) {
    check_agreement(communicator,
                    {{"the device to compute on", at::DeviceTypeName(chosen.type(), /*lower_case=*/true)}},
                    "give every rank a GPU, or set device: cpu");
  }
  return chosen;
}

std::uint64_t device_memory_bytes(at::Device device) {
  if (!device.is_cuda()) return core::memory_limit();
  std::size_t free = 0, all = 0;
  const c10::cuda::CUDAGuard guard(device);
  return cudaMemGetInfo(&free, &all) == cudaSuccess ? all : 0;
}

std::shared_ptr<Communicator> make_communicator_for(at::Device device, std::shared_ptr<Communicator> host,
                                                    std::chrono::seconds timeout) {
  if (!device.is_cuda()) return host;
  if (!core::LaunchEnvironment().launched_by_mpi()) return host;  // one rank sends nothing
  return std::make_shared<NcclCommunicator>(
      std::move(host), device.index(), [] { return c10::cuda::getCurrentCUDAStream().stream(); }, timeout);
}

}  // namespace lockstep::comm
