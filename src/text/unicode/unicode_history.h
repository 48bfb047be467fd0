#pragma once

namespace lockstep::text {

/// Hugging Face tokenizers is built of libraries with Unicode tables of different age. These are the sets as each of
/// its components has them.

/// Digits: Rust's char::is_numeric.
bool is_numeric(char32_t code_point);
/// Punctuation, BertPreTokenizer: ASCII punctuation, or P* of Unicode 8.
bool is_legacy_punctuation(char32_t code_point);
/// StripAccents: M* of Unicode 9.
bool is_legacy_mark(char32_t code_point);
/// BertNormalizer: Mn of Unicode 8.
bool is_legacy_nonspacing_mark(char32_t code_point);
/// BertNormalizer: Cc, Cf, Cs or Co of Unicode 8.
bool is_legacy_control(char32_t code_point);

}  // namespace lockstep::text
