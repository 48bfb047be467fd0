#pragma once

#include <cstdint>
#include <string_view>

namespace lockstep::core {

/// Parses a size such as "5GB", "500MB" or "1.5kb" and returns it in bytes. The units are huggingface_hub's decimal
/// ones (KB, MB, GB, TB; case is ignored). Throws InputError for any other text and for sizes below one byte.
std::uint64_t parse_byte_size(std::string_view text);

}  // namespace lockstep::core
