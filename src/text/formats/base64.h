#pragma once

#include <string>
#include <string_view>

namespace lockstep::text {

/// Decodes padded standard base64 (RFC 4648). Throws InputError for anything else.
std::string decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

}  // namespace lockstep::text
