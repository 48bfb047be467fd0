#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// Loads the tokenizer of a model folder as transformers' AutoTokenizer (5.x) does: from `tokenizer.json` if there is
/// one, else from `spiece.model` or `tokenizer.model` (SentencePiece), else from `vocab.json` with `merges.txt`; ByT5
/// needs none of them. The tokenizer class that `tokenizer_config.json` names, or that follows from the model type in
/// `config.json`, may override everything except the vocabulary. Throws InputError naming what is missing or not
/// supported.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder);
/// Loads the tokenizer in `folder` of a model whose config.json is in `config_folder`; for an adapter, that is its base
/// model's folder.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder,
                                                const std::filesystem::path& config_folder);

/// Returns the names of all files that a tokenizer may consist of.
std::span<const std::string_view> tokenizer_file_names();

/// Returns true if `folder` contains any file of tokenizer_file_names().
bool has_tokenizer_files(const std::filesystem::path& folder);

}  // namespace lockstep::text

namespace lockstep {
using text::load_tokenizer;
}  // namespace lockstep
