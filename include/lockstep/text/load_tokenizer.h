#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// Loads the tokenizer of a model folder as transformers' AutoTokenizer (5.x) does: `tokenizer.json` if there is one,
/// else `spiece.model` or `tokenizer.model` (SentencePiece), else `vocab.json` with `merges.txt`; ByT5 needs none of
/// them. What stands round the vocabulary also depends on the class that `tokenizer_config.json`, or the model type in
/// `config.json`, names. Throws InputError naming what is missing or not supported.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder);
/// The same where config.json lies in another folder: of an adapter, in its base's.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder,
                                                const std::filesystem::path& config_folder);

/// The names of all files that a tokenizer may consist of.
std::span<const std::string_view> tokenizer_file_names();

/// Whether any of them lies in `folder`.
bool has_tokenizer_files(const std::filesystem::path& folder);

}  // namespace lockstep::text

namespace lockstep {
using text::load_tokenizer;
}  // namespace lockstep
