#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// The tokenizer's files of a folder, as Tokenizer::save() writes them. tokenizer_config.json is rewritten only where
/// it is missing (naming `tokenizer_class`), or where `missing_pad`, the token to pad with, has to be added to it.
std::vector<TokenizerFile> collect_tokenizer_files(const std::filesystem::path& folder, const Json& config,
                                                   const char* tokenizer_class,
                                                   const std::optional<std::string>& missing_pad);

/// SHA-256 over names and bytes.
std::string digest_of(const std::vector<TokenizerFile>& files);

}  // namespace lockstep::text
