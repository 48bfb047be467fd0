#pragma once

#include <cstdint>
#include <vector>

namespace lockstep::data {

/// A permutation of 0 ... size-1: a pure function of its arguments, the same on every machine.
std::vector<std::uint64_t> shuffled_indices(std::uint64_t size, std::uint64_t seed, std::uint64_t epoch);

}  // namespace lockstep::data
