#pragma once

#include <filesystem>

#include "text/formats/tokenizer_definition.h"

namespace lockstep::text {

/// Reads a tokenizer.json of Hugging Face tokenizers. Throws InputError naming the file and the error in it.
TokenizerDefinition read_tokenizer_json(const std::filesystem::path& path);

/// Reads a vocab.json and a merges.txt (GPT-2's format), which define only a BPE model.
TokenizerDefinition read_vocab_and_merges(const std::filesystem::path& vocabulary, const std::filesystem::path& merges);

}  // namespace lockstep::text
