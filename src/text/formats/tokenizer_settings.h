#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "text/added_tokens.h"

namespace lockstep::text {

/// The texts of a tokenizer's special tokens, by purpose.
struct SpecialTokenTexts {
  std::optional<std::string> bos = {}, eos = {}, unk = {}, sep = {}, pad = {}, cls = {}, mask = {};
};

/// The settings in the files next to the vocabulary: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
struct TokenizerFolderSettings {
  Json config = Json::object();  // tokenizer_config.json
  SpecialTokenTexts special;
  std::vector<AddedToken> added_tokens;
  std::vector<std::string> additional_special_tokens;
  std::optional<std::size_t> model_max_length;
  bool add_bos_token = false, add_eos_token = false;  // used without tokenizer.json and post-processor
};

/// Reads the settings of a folder. Throws InputError if a file does not have the expected structure.
TokenizerFolderSettings read_folder_settings(const std::filesystem::path& folder);

/// Reads a token id. Throws InputError, quoting what was found, if the value is not one.
TokenId read_token_id(const Json& json);

/// Returns "extra_ids" of tokenizer_config.json, or `fallback` if it is missing. Throws InputError for an invalid
/// number.
std::uint32_t read_extra_ids(const Json& config, std::uint32_t fallback);

/// Reads an element of "added_tokens_decoder", or of tokenizer.json's "added_tokens".
AddedToken read_added_token(const Json& json, TokenId id);

/// Returns the text of a special token, given as a string or as an object with "content"; none for null or a missing
/// key.
std::optional<std::string> read_token_text(const Json& object, const char* key);

}  // namespace lockstep::text
