#pragma once

#include <filesystem>

#include "text/formats/tokenizer_definition.h"

namespace lockstep::text {

/// Reads a tokenizer.json of Hugging Face tokenizers. Throws InputError naming the file and what is wrong with it.
TokenizerDefinition read_tokenizer_json(const std::filesystem::path& path);

/// Reads a vocab.json and merges.txt (GPT-2's form): a BPE model and nothing round it.
TokenizerDefinition read_vocab_and_merges(const std::filesystem::path& vocabulary, const std::filesystem::path& merges);

}  // namespace lockstep::text
