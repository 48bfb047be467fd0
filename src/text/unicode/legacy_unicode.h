#pragma once

namespace lockstep::text {

/// Hugging Face tokenizers is built from libraries with Unicode tables of different ages. These functions reproduce the
/// character sets of its components.

/// Returns true for a digit of the Digits pre-tokenizer: Rust's char::is_numeric.
bool is_numeric(char32_t code_point);
/// Returns true for punctuation of Punctuation and BertPreTokenizer: ASCII punctuation, or P* of Unicode 8.
bool is_legacy_punctuation(char32_t code_point);
/// Returns true for a mark that StripAccents removes: M* of Unicode 9.
bool is_legacy_mark(char32_t code_point);
/// Returns true for a mark that BertNormalizer removes: Mn of Unicode 8.
bool is_legacy_nonspacing_mark(char32_t code_point);
/// Returns true for a control character that BertNormalizer removes: Cc, Cf, Cs or Co of Unicode 8.
bool is_legacy_control(char32_t code_point);

}  // namespace lockstep::text
