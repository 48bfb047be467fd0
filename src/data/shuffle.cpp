#include "lockstep/data/shuffle.h"

#include <numeric>
#include <random>
#include <utility>

namespace lockstep::data {
namespace {

// Draws uniformly from 0 ... bound-1 by rejection. std::uniform_int_distribution is not used because its results differ
// between standard libraries.
std::uint64_t draw_below(std::mt19937_64& generator, std::uint64_t bound) {
  const std::uint64_t rejected = (0 - bound) % bound;  // 2^64 mod bound
  while (true) {
    const std::uint64_t number = generator();
    if (number >= rejected) return number % bound;
  }
}

}  // namespace

std::vector<std::uint64_t> shuffled_indices(std::uint64_t size, std::uint64_t seed, std::uint64_t epoch) {
  std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                         static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(epoch >> 32)};
  std::mt19937_64 generator(sequence);
  std::vector<std::uint64_t> indices(size);
  std::iota(indices.begin(), indices.end(), std::uint64_t{0});
  for (std::uint64_t i = size; i > 1; --i) std::swap(indices[i - 1], indices[draw_below(generator, i)]);
  return indices;
}

}  // namespace lockstep::data
