#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "text/added_tokens.h"

namespace lockstep::text {

/// The special tokens of a tokenizer, as texts, by what they are for.
struct SpecialTokenTexts {
  std::optional<std::string> bos = {}, eos = {}, unk = {}, sep = {}, pad = {}, cls = {}, mask = {};
};

/// What the files beside the vocabulary say: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
struct TokenizerFolderSettings {
  Json config = Json::object();  // tokenizer_config.json
  SpecialTokenTexts special;
  std::vector<AddedToken> added_tokens;
  std::vector<std::string> additional_special_tokens;
  std::optional<std::size_t> model_max_length;
  bool add_bos_token = false, add_eos_token = false;  // count where no tokenizer.json says what stands round a text
};

/// Throws InputError naming the file for one that is not of the expected form.
TokenizerFolderSettings read_folder_settings(const std::filesystem::path& folder);

/// Throws InputError, saying what was found, for what is no id.
TokenId read_token_id(const Json& json);

/// "extra_ids" of tokenizer_config.json.
std::uint32_t read_extra_ids(const Json& config, std::uint32_t fallback);

/// An element of "added_tokens_decoder" or of tokenizer.json's "added_tokens".
AddedToken read_added_token(const Json& json, TokenId id);

/// The text of a special token, given as such or as an object with "content"; none for null or a missing key.
std::optional<std::string> read_token_text(const Json& object, const char* key);

}  // namespace lockstep::text
