#include "text/formats/tokenizer_settings.h"

#include <fmt/format.h>
#include <charconv>
#include <limits>

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

void read_special_tokens(const Json& object, TokenizerFolderSettings& settings) {
  SpecialTokenTexts& special = settings.special;
  for (const auto& [key, target] : {std::pair{"bos_token", &special.bos}, std::pair{"eos_token", &special.eos},
                                    std::pair{"unk_token", &special.unk}, std::pair{"sep_token", &special.sep},
                                    std::pair{"pad_token", &special.pad}, std::pair{"cls_token", &special.cls},
                                    std::pair{"mask_token", &special.mask}}) {
    if (auto text = read_token_text(object, key)) *target = std::move(text);
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    if (!object.contains(key) || !object.at(key).is_array()) continue;
    settings.additional_special_tokens.clear();
    for (const Json& token : object.at(key)) {
      settings.additional_special_tokens.push_back(token.is_object() ? token.at("content").get<std::string>()
                                                                     : token.get<std::string>());
    }
  }
}

bool read_flag(const Json& object, const char* key) {
  return object.contains(key) && object.at(key).is_boolean() && object.at(key).get<bool>();
}

void read_added_tokens(const Json& config, const Json& added, TokenizerFolderSettings& settings) {
  for (const auto& [content, id] : added.items())
    settings.added_tokens.push_back({.content = content, .id = read_token_id(id), .normalized = true});
  if (!config.contains("added_tokens_decoder")) return;
  for (const auto& [id, token] : config.at("added_tokens_decoder").items()) {
    TokenId number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc() || end != id.data() + id.size()) {
      throw InputError(fmt::format("added_tokens_decoder: expected ids as keys, found \"{}\"", id));
    }
    settings.added_tokens.push_back(read_added_token(token, number));
  }
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
  const Json map = read_object(folder / "special_tokens_map.json");
  const Json added = read_object(folder / "added_tokens.json");
  const auto refuse = [&](const char* why) {
    throw InputError(fmt::format("{}: tokenizer_config.json, special_tokens_map.json or added_tokens.json: {}",
                                 folder.string(), why));
  };
  try {
    // As in transformers, tokenizer_config.json overrides special_tokens_map.json only if it has the newer format.
    const bool is_new_form = settings.config.contains("added_tokens_decoder");
    read_special_tokens(is_new_form ? map : settings.config, settings);
    read_special_tokens(is_new_form ? settings.config : map, settings);
    settings.add_bos_token = read_flag(settings.config, "add_bos_token");
    settings.add_eos_token = read_flag(settings.config, "add_eos_token");
    read_added_tokens(settings.config, added, settings);
    if (settings.config.contains("model_max_length") && settings.config["model_max_length"].is_number()) {
      const auto limit = settings.config["model_max_length"].get<double>();
      if (limit >= 1 && limit < kNoLimit) settings.model_max_length = static_cast<std::size_t>(limit);
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  } catch (const InputError& error) {
    refuse(error.what());
  }
  return settings;
}

}  // namespace lockstep::text
