#pragma once

#include <cstdint>

namespace lockstep::batching {

/// Returns a / b, rounded up.
inline std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace lockstep::batching
