#pragma once

#include <cstdint>
#include <vector>

namespace lockstep::data {

/// Returns a permutation of 0 ... size-1. A pure function of its arguments: every machine gets the same result.
std::vector<std::uint64_t> shuffled_indices(std::uint64_t size, std::uint64_t seed, std::uint64_t epoch);

}  // namespace lockstep::data
