#include "lockstep/sharding/zero_buffer.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

namespace lockstep::sharding {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

at::Tensor zero_buffer(std::int64_t size, const at::TensorOptions& options) {
  const std::size_t bytes = static_cast<std::size_t>(size) * options.dtype().itemsize();
  if (!options.device().is_cpu() || bytes < kHugePage) return at::zeros({size}, options);
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return at::zeros({size}, options);  // which reports the failure
  ::madvise(pages, bytes, MADV_HUGEPAGE);                      // may be refused
  // Writing the pages allocates them now, so that a lack of memory shows before the first step.
  return at::from_blob(
             pages, {size}, [bytes](void* begin) { ::munmap(begin, bytes); }, options)
      .zero_();
}

}  // namespace lockstep::sharding
