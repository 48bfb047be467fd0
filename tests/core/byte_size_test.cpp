#include "lockstep/core/byte_size.h"

#include <gtest/gtest.h>

#include "lockstep/core/error.h"

namespace lockstep::core {
namespace {

TEST(ByteSize, UnitsAreDecimal) {
  EXPECT_EQ(parse_byte_size("5GB"), 5'000'000'000U);
  EXPECT_EQ(parse_byte_size("500MB"), 500'000'000U);
  EXPECT_EQ(parse_byte_size("1.5kb"), 1'500U);
  EXPECT_EQ(parse_byte_size("2TB"), 2'000'000'000'000U);
}

TEST(ByteSize, OtherTextIsRefused) {
  for (const char* text :
       {"", "5", "GB", "5 GB", "5GiB", "-5GB", "0MB", "0.0001KB", "nanGB", "infGB", "1e3GB", "9999999999TB", "5GBs"}) {
    EXPECT_THROW(parse_byte_size(text), InputError) << text;
  }
}

}  // namespace
}  // namespace lockstep::core
