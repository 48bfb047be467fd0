#pragma once

#include <string>

#include "prepare.h"

namespace lockstep {

/// The table of a prepared set: rows, examples, tokens, truncated, dropped and why, percentiles of the lengths.
std::string format_summary(const PreparedSet& set);

/// The first `count` examples decoded, special tokens included, with the label span between « and ».
std::string format_examples(const PreparedSet& set, const Tokenizer& tokenizer, std::size_t count);

}  // namespace lockstep
