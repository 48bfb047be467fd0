#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// Returns the tokenizer files of a folder as Tokenizer::save() writes them. Changes tokenizer_config.json only if it
/// is missing (it then names `tokenizer_class`), or if `missing_pad`, the token to pad with, must be added.
std::vector<TokenizerFile> collect_tokenizer_files(const std::filesystem::path& folder, const Json& config,
                                                   const char* tokenizer_class,
                                                   const std::optional<std::string>& missing_pad);

/// Returns the SHA-256 over names and bytes of the files.
std::string digest_of(const std::vector<TokenizerFile>& files);

}  // namespace lockstep::text
