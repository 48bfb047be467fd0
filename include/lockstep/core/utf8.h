#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::core {

/// Returns the offset of the first byte that is not part of a valid UTF-8 sequence (RFC 3629: no surrogates, no
/// overlong forms, at most U+10FFFF), or none if `text` is valid.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

/// Returns `text` with each maximal subpart of an ill-formed sequence replaced by U+FFFD, as the Unicode Standard (3.9)
/// recommends and Python's errors="replace" does.
std::string replace_invalid_utf8(std::string_view text);

/// Returns `text` without its ill-formed sequences, as Python's errors="ignore" does.
std::string drop_invalid_utf8(std::string_view text);

}  // namespace lockstep::core
