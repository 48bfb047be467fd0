#pragma once

#include <fmt/format.h>
#include <algorithm>
#include <cstddef>

#include "lockstep/core/error.h"

namespace lockstep::text {

/// Returns the limit, in bytes, to which a tokenizer's components may expand a text of `bytes`. Known components at
/// most triple it; a hostile chain could double it again and again.
constexpr std::size_t max_output_bytes(std::size_t bytes) { return std::max<std::size_t>(64 << 10, 128 * bytes); }

inline void check_growth(std::size_t bytes, std::size_t largest) {
  if (bytes <= largest) return;
  throw InputError(fmt::format(
      "the tokenizer's components expand a text beyond {} bytes, many times its length; give another tokenizer",
      largest));
}

}  // namespace lockstep::text
