#include "lockstep/models/special_ids.h"

#include <fmt/format.h>
#include <algorithm>
#include <iterator>
#include <optional>

namespace lockstep::models {
namespace {

constexpr const char* kEos = "eos_token_id";
constexpr const char* kDecoderStart = "decoder_start_token_id";

// Returns the ids of a key: none, one or several.
Json ids_of(const Json& config, const char* key) {
  Json value = config.value(key, Json());
  if (value.is_array()) return value;
  return value.is_null() ? Json::array() : Json::array({value});
}

bool has_id(const Json& config, const char* key, TokenId id) {
  const Json ids = ids_of(config, key);
  return std::ranges::find(ids, Json(id)) != ids.end();
}

Json with_first(TokenId id, const Json& ids) {
  Json result = Json::array({id});
  std::ranges::copy_if(ids, std::back_inserter(result), [&](const Json& other) { return other != Json(id); });
  return result;
}

// Returns the generation_config.json that transformers derives from a config.json without one.
Json derived_generation_config(const Json& config) {
  Json generation = Json::object();
  for (const char* key : {"bos_token_id", kEos, "pad_token_id", kDecoderStart}) {
    if (const Json value = config.value(key, Json()); !value.is_null()) generation[key] = value;
  }
  return generation;
}

struct Files {
  Json config, generation;
};

// Sets the id of a key in both files. Returns the description of the change, or nothing if they had it.
std::optional<std::string> align(Files& files, const char* key, TokenId id, bool keeps_others) {
  if (has_id(files.config, key, id) && has_id(files.generation, key, id)) return std::nullopt;
  const Json old_ids = ids_of(files.config, key);
  files.config[key] = keeps_others && files.config.value(key, Json()).is_array() ? with_first(id, old_ids) : Json(id);
  files.generation[key] = keeps_others ? with_first(id, ids_of(files.generation, key)) : Json(id);
  return fmt::format("{} {} (was {})", key, id,
                     old_ids.empty()       ? "missing"
                     : old_ids.size() == 1 ? old_ids[0].dump()
                                           : old_ids.dump());
}

}  // namespace

std::vector<std::string> align_special_ids(LanguageModel& model, const Tokenizer& tokenizer) {
  const ModelInfo& info = model.info();
  const bool has_generation_config = info.generation_config.is_object();
  Files files{info.config, has_generation_config ? info.generation_config : derived_generation_config(info.config)};
  std::vector<std::string> changes;
  const auto note = [&](std::optional<std::string> change) {
    if (change) changes.push_back(std::move(*change));
  };
  if (info.has_encoder) note(align(files, kDecoderStart, info.decoder_start_id, false));
  if (tokenizer.eos_id()) note(align(files, kEos, *tokenizer.eos_id(), true));
  if (tokenizer.bos_id()) note(align(files, "bos_token_id", *tokenizer.bos_id(), false));
  if (tokenizer.pad_id()) note(align(files, "pad_token_id", *tokenizer.pad_id(), false));
  // Without a file of its own, generation_config.json is written only for what config.json cannot say.
  const bool is_derivable = ids_of(files.generation, kEos).size() <= 1;
  if (!has_generation_config && is_derivable) files.generation = nullptr;
  model.set_special_ids(std::move(files.config), std::move(files.generation));
  return changes;
}

}  // namespace lockstep::models
