#include "models/stand_in_device.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/HPUHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/ScopeExit.h>
#include <torch/library.h>
#include <atomic>

namespace lockstep::models {
namespace {

void free_memory(void* data) { c10::GetCPUAllocator()->raw_deallocate(data); }

struct StandInAllocator final : c10::Allocator {
  c10::DataPtr allocate(std::size_t bytes) override {
    void* data = c10::GetCPUAllocator()->raw_allocate(bytes);
    return {data, data, &free_memory, kStandInDevice};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_memory; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
};

StandInAllocator& allocator() {
  static StandInAllocator instance;
  return instance;
}

std::atomic<std::size_t> reads{0};
thread_local bool is_computing = false;  // reads by the device itself do not count

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::HPU);

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator(), kKeys, c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &allocator(), kKeys, c10::dtype_or_default(type));
}

// Returns a tensor of the host that shares the memory of `tensor`.
at::Tensor on_host(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), at::TensorOptions(tensor.scalar_type()));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  if (!is_computing && to.is_cpu()) ++reads;
  on_host(to).copy_(on_host(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (from.sizes() != to.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Scalar local_scalar(const at::Tensor& tensor) {
  if (!is_computing) ++reads;
  return on_host(tensor).item();
}

const at::Tensor& resize(const at::Tensor& tensor, at::IntArrayRef size, std::optional<at::MemoryFormat>) {
  at::native::resize_impl_cpu_(tensor.unsafeGetTensorImpl(), size, std::nullopt);
  return tensor;
}

void compute_on_host(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const auto arguments = torch::jit::last(*stack, operation.schema().arguments().size());
  for (const c10::IValue& argument : arguments) {
    const auto check = [&](const at::Tensor& tensor) {
      TORCH_CHECK(!tensor.defined() || tensor.device() == kStandInDevice || tensor.dim() == 0,
                  operation.operator_name(), ": expected tensors on the device, found one on the host");
    };
    if (argument.isTensor()) check(argument.toTensor());
    if (argument.isTensorList()) {
      for (const at::Tensor& tensor : argument.toTensorVector()) check(tensor);
    }
    if (argument.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& tensor : argument.toOptionalTensorVector()) {
        if (tensor) check(*tensor);
      }
    }
  }
  is_computing = true;
  const auto end = c10::make_scope_exit([] { is_computing = false; });
  at::native::cpu_fallback(operation, stack);
}

// The device has one stream, on which all work finishes immediately.
struct StandInGuard final : c10::impl::NoOpDeviceGuardImpl<at::kHPU> {
  at::Device exchangeDevice(at::Device) const override { return kStandInDevice; }
  at::Device getDevice() const override { return kStandInDevice; }
  c10::Stream getStream(at::Device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, kStandInDevice);
  }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return getStream(kStandInDevice); }
  void record(void**, const c10::Stream&, at::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
};

// Hooks that autograd's backward calls.
struct StandInHooks final : at::HPUHooksInterface {
  explicit StandInHooks(at::HPUHooksArgs) {}
  void init() const override {}
  bool hasHPU() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(at::DeviceIndex) const override { return true; }
  at::DeviceIndex deviceCount() const override { return 1; }
  at::DeviceIndex getCurrentDevice() const override { return 0; }
};

using at::HPUHooksRegistry;
using at::RegistererHPUHooksRegistry;
C10_REGISTER_CLASS(HPUHooksRegistry, HPUHooks, StandInHooks)
C10_REGISTER_GUARD_IMPL(HPU, StandInGuard)

TORCH_LIBRARY_IMPL(_, HPU, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_host>()); }

TORCH_LIBRARY_IMPL(aten, HPU, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("_local_scalar_dense", &local_scalar);
  library.impl("resize_", &resize);
  library.impl("view", static_cast<at::Tensor (*)(const at::Tensor&, at::IntArrayRef)>(&at::native::view));
  library.impl("_reshape_alias", &at::native::_reshape_alias);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
}

}  // namespace

std::size_t reads_of_stand_in_device() { return reads; }

}  // namespace lockstep::models
