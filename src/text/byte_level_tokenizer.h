#pragma once

#include <filesystem>
#include <memory>

#include "tokenizer_settings.h"

namespace lockstep {

/// A byte-level BPE tokenizer from `folder`/tokenizer.json.
std::shared_ptr<Tokenizer> load_tokenizer_json(const std::filesystem::path& folder,
                                               const TokenizerFolderSettings& settings);

/// GPT-2's, from `folder`/vocab.json and merges.txt.
std::shared_ptr<Tokenizer> load_vocab_and_merges(const std::filesystem::path& folder,
                                                 const TokenizerFolderSettings& settings);

}  // namespace lockstep
