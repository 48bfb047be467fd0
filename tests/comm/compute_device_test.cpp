#include "lockstep/comm/compute_device.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>

namespace lockstep::comm {
namespace {

using job::DeviceChoice;
using testing::HasSubstr;
using testing::ThrowsMessage;

const VisibleGpus kNone{0, "no CUDA-capable device is detected"};
const VisibleGpus kOne{1, ""};
const VisibleGpus kFour{4, ""};

TEST(ComputeDevice, AutoTakesAGpuWhereThereIsOne) {
  EXPECT_EQ(compute_device(DeviceChoice::kAuto, 0, kNone), at::Device(at::kCPU));
  EXPECT_EQ(compute_device(DeviceChoice::kAuto, 0, kOne), at::Device(at::kCUDA, 0));
  EXPECT_EQ(compute_device(DeviceChoice::kCpu, 0, kFour), at::Device(at::kCPU));
}

TEST(ComputeDevice, RanksOfANodeTakeTheGpusInTurn) {
  EXPECT_EQ(compute_device(DeviceChoice::kCuda, 3, kFour), at::Device(at::kCUDA, 3));
  EXPECT_EQ(compute_device(DeviceChoice::kCuda, 3, kOne), at::Device(at::kCUDA, 0));  // each rank sees only its own GPU
  EXPECT_THAT([] { compute_device(DeviceChoice::kAuto, 4, kFour); },
              ThrowsMessage<InputError>(HasSubstr("found 4 GPUs for rank 4")));
}

TEST(ComputeDevice, CudaWithoutAGpuIsRefusedWithTheRemedy) {
  EXPECT_THAT([] { compute_device(DeviceChoice::kCuda, 0, kNone); },
              ThrowsMessage<InputError>(
                  testing::AllOf(HasSubstr("no CUDA-capable device is detected"), HasSubstr("set device: cpu"))));
}

TEST(ComputeDevice, TheCudaRuntimeSaysWhyThereIsNoGpu) {
  const VisibleGpus gpus = visible_gpus();
  EXPECT_EQ(gpus.count == 0, !gpus.why_none.empty());
}

TEST(ComputeDevice, TheHostNeedsNoOtherCommunicator) {
  const auto host = make_communicator();
  EXPECT_EQ(make_communicator_for(at::kCPU, host, std::chrono::seconds(0)), host);
}

TEST(ComputeDevice, KernelsForGpusAreLoadedWhereTheyAreAskedFor) {
  load_gpu_kernels();
  const auto product = c10::Dispatcher::singleton().findSchema({"aten::mm", ""});
  ASSERT_TRUE(product.has_value());
  EXPECT_TRUE(product->hasKernelForDispatchKey(c10::DispatchKey::CUDA));
}

}  // namespace
}  // namespace lockstep::comm
