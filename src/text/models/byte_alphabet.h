#pragma once

#include <string>
#include <string_view>

namespace lockstep::text {

/// Appends the bytes of `text` in GPT-2's alphabet: a printable character, as UTF-8, for each.
void append_in_byte_alphabet(std::string_view text, std::string& out);

/// Appends the bytes behind a token of that alphabet; a token with any other character stands for itself.
void append_from_byte_alphabet(std::string_view token, std::string& bytes);

}  // namespace lockstep::text
