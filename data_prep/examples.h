#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data_prep {

/// Returns the text on one line, safe for a terminal: control characters, newlines and tabs are spelled out.
std::string printable(std::string_view text);

/// Returns the number of Unicode characters in UTF-8 text.
std::size_t count_characters(std::string_view text);

/// Returns example `index` (from 0) decoded, with special tokens, and with the label span between « and ». Long texts
/// are shortened in the middle.
std::string format_example(const data::PreparedDataset& dataset, std::uint64_t index, const Tokenizer& tokenizer);

}  // namespace lockstep::data_prep
