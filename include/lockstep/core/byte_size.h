#pragma once

#include <cstdint>
#include <string_view>

namespace lockstep::core {

/// "5GB", "500MB", "1.5kb": bytes, with the decimal units of huggingface_hub (KB, MB, GB, TB, in either case). Throws
/// InputError for other text and for less than a byte.
std::uint64_t parse_byte_size(std::string_view text);

}  // namespace lockstep::core
