#pragma once

#include <string>

#include "text/components/normalizer.h"

namespace lockstep::text {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

/// A Unicode normalization form by the tables of Unicode 9, which Hugging Face tokenizers has.
std::unique_ptr<const Normalizer> make_unicode_normalizer(UnicodeForm form);

/// Every character in lower case by itself (Rust's char::to_lowercase: no final sigma), by Unicode 17.
void lowercase(std::string& text);

}  // namespace lockstep::text
