#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "text/added_tokens.h"

namespace lockstep::text {

/// The texts of a tokenizer's special tokens, by purpose. An empty text means that there is none, whatever the class
/// defines.
struct SpecialTokenTexts {
  std::optional<std::string> bos = {}, eos = {}, unk = {}, sep = {}, pad = {}, cls = {}, mask = {};
};

/// The settings in the files next to the vocabulary: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
struct TokenizerFolderSettings {
  Json config = Json::object();  // tokenizer_config.json
  SpecialTokenTexts special;
  std::vector<AddedToken> added_tokens;  // by id
  bool lists_added_tokens = false;       // "added_tokens_decoder" is the list of all added tokens
  /// The special tokens with a purpose, by its key such as "eos_token". The ids are not set.
  std::map<std::string, AddedToken> purposeful;
  /// The special tokens that a model names itself, such as "image_token", and those of a list without names, in the
  /// order in which transformers adds them. The ids are not set.
  std::vector<AddedToken> own, additional;
  std::optional<std::size_t> model_max_length;
  bool add_bos_token = false, add_eos_token = false;  // used without tokenizer.json and post-processor
  bool split_special_tokens = false;
};

/// Reads the settings of a folder as transformers (5.x) does. Throws InputError if a file does not have the expected
/// structure, or has a key that changes ids and is not supported.
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
