#include "lockstep/sharding/zero_buffer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace lockstep::sharding {
namespace {

// Covers sizes below and above the limit for pages of its own, and one that is no multiple of a page.
TEST(ZeroBuffer, HoldsZerosThatCanBeWritten) {
  for (const std::int64_t size : {0, 1, 1000, 1'000'003}) {
    const at::Tensor buffer = zero_buffer(size, at::TensorOptions(at::kFloat));
    ASSERT_EQ(buffer.sizes(), at::IntArrayRef({size}));
    ASSERT_EQ(buffer.scalar_type(), at::kFloat);
    EXPECT_EQ(buffer.count_nonzero().item<std::int64_t>(), 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.const_data_ptr()) % 64, 0U);
    buffer.fill_(3);
    EXPECT_EQ(buffer.sum(at::kDouble).item<double>(), 3.0 * static_cast<double>(size));
  }
}

TEST(ZeroBuffer, OutlivesTheTensorAsLongAsAViewOfIt) {
  at::Tensor view;
  {
    const at::Tensor buffer = zero_buffer(1 << 20, at::TensorOptions(at::kFloat));
    view = buffer.narrow(0, 1 << 19, 4);
  }
  view.fill_(2);
  EXPECT_EQ(view.sum().item<float>(), 8);
}

}  // namespace
}  // namespace lockstep::sharding
