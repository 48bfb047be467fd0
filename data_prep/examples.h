#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data_prep {

/// Text on one line that does nothing to a terminal: control characters, newlines and tabs are spelled out.
std::string printable(std::string_view text);

/// The number of Unicode characters of UTF-8 text.
std::size_t count_characters(std::string_view text);

/// Example `index` (from 0) decoded, special tokens included, with the label span between « and »; long texts lose
/// their middle.
std::string format_example(const data::PreparedDataset& dataset, std::uint64_t index, const Tokenizer& tokenizer);

}  // namespace lockstep::data_prep
