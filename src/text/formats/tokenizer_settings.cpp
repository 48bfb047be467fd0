#include "text/formats/tokenizer_settings.h"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

#include "lockstep/core/error.h"

namespace lockstep::text {
namespace {

namespace fs = std::filesystem;

constexpr double kNoLimit = 0x1p63;  // transformers writes 1e30 for a tokenizer without a limit

Json read_object(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  Json json = core::read_json_file(path);
  if (!json.is_object()) throw InputError(fmt::format("{}: expected a JSON object", path.string()));
  return json;
}

constexpr std::string_view kTokenSuffix = "_token";

// Returns a special token, given as a string or as an object with "content" and options.
AddedToken read_special_token(const Json& json, bool is_special) {
  if (!json.is_object()) return {.content = json.get<std::string>(), .special = true};
  AddedToken token = read_added_token(json, 0);
  if (is_special) {
    token.special = true;
    token.normalized = json.value("normalized", false);
  }
  return token;
}

// Returns the text of the token of `purpose`, such as "eos_token", or null if there is no such purpose.
std::optional<std::string>* find_purpose(std::string_view purpose, SpecialTokenTexts& special) {
  for (const auto& [key, text] : {std::pair{"bos_token", &special.bos}, std::pair{"eos_token", &special.eos},
                                  std::pair{"unk_token", &special.unk}, std::pair{"sep_token", &special.sep},
                                  std::pair{"pad_token", &special.pad}, std::pair{"cls_token", &special.cls},
                                  std::pair{"mask_token", &special.mask}}) {
    if (key == purpose) return text;
  }
  return nullptr;
}

// Collects the special tokens of tokenizer_config.json and, after it, of special_tokens_map.json.
class SpecialTokenReader {
 public:
  explicit SpecialTokenReader(TokenizerFolderSettings& settings) : settings_(settings) {}

  void read_config(const Json& config) {
    for (const auto& [key, value] : config.items()) read_named_token(key, value, /*is_map=*/false);
    const Json extra = config.value("extra_special_tokens", Json());
    has_list_ = config.contains("extra_special_tokens");
    if (!extra.empty() && extra.is_object()) {
      has_list_ = false;
      read_object(extra);
    } else if (!extra.empty()) {
      append(extra, /*are_special=*/false, list_);
    }
    if (config.contains("additional_special_tokens")) {
      append(config.at("additional_special_tokens"), false, extra.empty() ? list_ : additional_);
      has_list_ = has_list_ || extra.empty();
    }
    if (explicit_.empty()) read_object(config.value("model_specific_special_tokens", Json::object()));
  }

  void read_map(const Json& map) {
    for (const auto& [key, value] : map.items()) {
      read_named_token(key, value, /*is_map=*/true);
      if (key == "additional_special_tokens") {
        additional_.clear();
        append(value, false, additional_);
      } else if (key == "extra_special_tokens") {
        if (!value.is_array()) list_.clear();
        has_list_ = !value.is_object();
        if (value.is_object()) read_object(value);
        if (value.is_array()) append(value, true, list_);
      }
    }
  }

  // Stores what was read. Returns the texts that make a token of added_tokens.json special.
  std::set<std::string> finish() {
    if (has_list_) {
      for (const AddedToken& token : list_) special_texts_.insert(token.content);
    } else {
      list_ = additional_;
    }
    for (const auto& [key, token] : explicit_) set(key, token, implicit_);
    for (const auto& [key, token] : implicit_) settings_.own.push_back(token);
    settings_.additional = list_;
    for (const auto& [purpose, token] : settings_.purposeful) {
      if (plain_purposes_.contains(purpose)) special_texts_.insert(token.content);
    }
    return special_texts_;
  }

 private:
  using Named = std::vector<std::pair<std::string, AddedToken>>;  // by key

  static void set(const std::string& key, const AddedToken& token, Named& named) {
    const auto found = std::ranges::find(named, key, &Named::value_type::first);
    if (found == named.end()) {
      named.emplace_back(key, token);
    } else {
      found->second = token;
    }
  }

  static void append(const Json& tokens, bool are_special, std::vector<AddedToken>& result) {
    if (!tokens.is_array()) return;
    for (const Json& token : tokens) result.push_back(read_special_token(token, are_special));
  }

  // Reads tokens by name.
  void read_object(const Json& tokens) {
    for (const auto& [key, value] : tokens.items()) set(key, read_special_token(value, true), explicit_);
  }

  // Reads a token that has a key of its own: one with a purpose, or a model's own one such as "image_token".
  void read_named_token(const std::string& key, const Json& value, bool is_map) {
    if (auto* text = find_purpose(key, settings_.special)) {
      settings_.purposeful.erase(key);
      *text = "";
      if (value.is_null()) return;
      settings_.purposeful[key] = read_special_token(value, true);
      *text = settings_.purposeful[key].content;
      if (is_map || value.is_string()) plain_purposes_.insert(key);
    } else if (key.ends_with(kTokenSuffix) && (value.is_string() || (value.is_object() && value.contains("content")))) {
      set(key, read_special_token(value, true), value.is_string() && !is_map ? explicit_ : implicit_);
    }
  }

  TokenizerFolderSettings& settings_;
  Named implicit_, explicit_;                  // transformers prefers the explicit ones
  std::vector<AddedToken> list_, additional_;  // the latter stands in if there is no list
  bool has_list_ = false;
  std::set<std::string> plain_purposes_, special_texts_;
};

bool read_flag(const Json& object, const char* key) {
  return object.contains(key) && object.at(key).is_boolean() && object.at(key).get<bool>();
}

// Throws InputError for keys of tokenizer_config.json that would change ids and are not supported.
void check_keys(const Json& config) {
  for (const char* key :
       {"gguf_file", "post_processor", "tokenizer_object", "tokenizer_padding", "tokenizer_truncation"}) {
    if (!config.contains(key) || config.at(key).is_null()) continue;
    throw InputError(
        fmt::format("{}: expected no such key, found {}; save the tokenizer with transformers, which writes "
                    "tokenizer.json",
                    key, config.at(key).dump()));
  }
  const Json names = config.value("fast_tokenizer_files", Json::array());
  for (const Json& name : names) {
    if (name == "tokenizer.json") continue;
    throw InputError(
        fmt::format("fast_tokenizer_files: expected only \"tokenizer.json\", found {}; rename the file that "
                    "belongs to the model to tokenizer.json and remove the key",
                    name.dump()));
  }
  const Json split = config.value("split_special_tokens", Json());
  if (!split.is_null() && !split.is_boolean()) {
    throw InputError(fmt::format("split_special_tokens: expected true or false, found {}", split.dump()));
  }
}

void read_added_tokens(const Json& config, const Json& added, const std::set<std::string>& special_texts,
                       TokenizerFolderSettings& settings) {
  for (const auto& [content, id] : added.items()) {
    const bool special = special_texts.contains(content);
    settings.added_tokens.push_back(
        {.content = content, .id = read_token_id(id), .special = special, .normalized = !special});
  }
  const Json decoder = config.value("added_tokens_decoder", Json::object());
  for (const auto& [id, token] : decoder.items()) {
    TokenId number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc() || end != id.data() + id.size()) {
      throw InputError(fmt::format("added_tokens_decoder: expected ids as keys, found \"{}\"", id));
    }
    settings.added_tokens.push_back(read_added_token(token, number));
  }
  std::ranges::stable_sort(settings.added_tokens, {}, &AddedToken::id);
}

}  // namespace

TokenId read_token_id(const Json& json) {
  return static_cast<TokenId>(core::json_count(json, std::numeric_limits<TokenId>::max()));
}

std::uint32_t read_extra_ids(const Json& config, std::uint32_t fallback) {
  constexpr std::uint64_t kMost = 100'000;
  try {
    return static_cast<std::uint32_t>(core::json_count(config.value("extra_ids", Json(fallback)), kMost));
  } catch (const InputError& error) {
    throw InputError(fmt::format("tokenizer_config.json: extra_ids: {}", error.what()));
  }
}

AddedToken read_added_token(const Json& json, TokenId id) {
  return {.content = json.at("content").get<std::string>(),
          .id = id,
          .special = json.value("special", false),
          .lstrip = json.value("lstrip", false),
          .rstrip = json.value("rstrip", false),
          .single_word = json.value("single_word", false),
          .normalized = json.value("normalized", !json.value("special", false))};
}

std::optional<std::string> read_token_text(const Json& object, const char* key) {
  if (!object.contains(key) || object.at(key).is_null()) return std::nullopt;
  const Json& token = object.at(key);
  return token.is_object() ? token.at("content").get<std::string>() : token.get<std::string>();
}

TokenizerFolderSettings read_folder_settings(const fs::path& folder) {
  TokenizerFolderSettings settings;
  settings.config = read_object(folder / "tokenizer_config.json");
  // transformers reads the older files only if tokenizer_config.json does not have the newer format.
  const bool is_new_form = settings.config.contains("added_tokens_decoder");
  const Json map = is_new_form ? Json::object() : read_object(folder / "special_tokens_map.json");
  const Json added = is_new_form ? Json::object() : read_object(folder / "added_tokens.json");
  const auto refuse = [&](const char* why) {
    throw InputError(fmt::format("{}: tokenizer_config.json, special_tokens_map.json or added_tokens.json: {}",
                                 folder.string(), why));
  };
  try {
    check_keys(settings.config);
    SpecialTokenReader special(settings);
    special.read_config(settings.config);
    special.read_map(map);
    settings.lists_added_tokens = is_new_form;
    settings.split_special_tokens = read_flag(settings.config, "split_special_tokens");
    settings.add_bos_token = read_flag(settings.config, "add_bos_token");
    settings.add_eos_token = read_flag(settings.config, "add_eos_token");
    read_added_tokens(settings.config, added, special.finish(), settings);
    const Json max_len = settings.config.value("max_len", Json());  // the older name
    if (const Json limit = settings.config.value("model_max_length", max_len); limit.is_number()) {
      const auto tokens = limit.get<double>();
      if (tokens >= 1 && tokens < kNoLimit) settings.model_max_length = static_cast<std::size_t>(tokens);
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  } catch (const InputError& error) {
    refuse(error.what());
  }
  return settings;
}

}  // namespace lockstep::text
