#pragma once

#include <string>

#include "text/components/normalizer.h"

namespace lockstep::text {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

/// Creates a normalizer for a Unicode normalization form, with the tables of Unicode 9 as in Hugging Face tokenizers.
std::unique_ptr<const Normalizer> make_unicode_normalizer(UnicodeForm form);

/// Lower-cases every character on its own (Rust's char::to_lowercase: no final sigma), as of Unicode 17.
void lowercase(std::string& text);

}  // namespace lockstep::text
