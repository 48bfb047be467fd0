#pragma once

#include <string>
#include <string_view>

namespace lockstep::text {

/// Appends the bytes of `text` in GPT-2's alphabet, which maps each byte to a printable character (in UTF-8).
void append_in_byte_alphabet(std::string_view text, std::string& out);

/// Appends the bytes that a token in GPT-2's alphabet stands for. A token with any other character is appended
/// unchanged.
void append_from_byte_alphabet(std::string_view token, std::string& bytes);

}  // namespace lockstep::text
