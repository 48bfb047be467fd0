#include "lockstep/models/pretrained.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <map>
#include <set>

#include "lockstep/core/error.h"
#include "lockstep/models/config.h"
#include "lockstep/models/families.h"
#include "lockstep/models/safetensors.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "config.json";
constexpr const char* kGenerationConfigFile = "generation_config.json";
constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kHead = "lm_head.weight";

// Tensors that files on the hub hold beside a model's parameters: masks that older versions saved, copies of tied
// weights, and a bias table that T5's first release carried but never used.
bool is_legacy(const std::string& name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") || name == "encoder.embed_tokens.weight" ||
         name == "decoder.embed_tokens.weight" ||
         name == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
}

// OpenAI's own GPT-2 files lack the "transformer." before every name.
std::string parameter_name(const std::string& stored, const std::string& model_type) {
  const bool bare = model_type == "gpt2" && !stored.starts_with("transformer.") && stored != kHead;
  return bare ? "transformer." + stored : stored;
}

std::map<std::string, std::string> stored_names(const SafetensorsFile& file, const std::string& model_type) {
  std::map<std::string, std::string> names;  // parameter -> as stored
  for (const std::string& stored : file.names()) {
    const std::string name = parameter_name(stored, model_type);
    if (!is_legacy(name)) names.emplace(name, stored);
  }
  return names;
}

// As transformers decides: a head that only repeats the embedding is tied to it, except where config.json says that it
// is not. T5's config.json does not count: there the key tells v1.0 from v1.1.
bool has_own_head(const SafetensorsFile& file, const std::map<std::string, std::string>& names, const Json& config) {
  const bool declared_own =
      config_text(config, "model_type", "") != "t5" && !config_flag(config, "tie_word_embeddings", true);
  const auto head = names.find(kHead);
  if (head == names.end() || declared_own) return declared_own;
  for (const char* embedding : {"shared.weight", "transformer.wte.weight"}) {
    const auto found = names.find(embedding);
    if (found != names.end()) return !file.tensor(head->second).equal(file.tensor(found->second));
  }
  return true;
}

void copy_weights(LanguageModel& model, const SafetensorsFile& file, std::map<std::string, std::string> names) {
  const at::NoGradGuard no_grad;
  const std::string path = file.path().string();
  for (const auto& parameter : model.named_parameters()) {
    const auto found = names.find(parameter.key());
    if (found == names.end()) {
      throw InputError(fmt::format("{}: tensor '{}' is missing, expected by config.json with the shape [{}]", path,
                                   parameter.key(), fmt::join(parameter.value().sizes().vec(), ", ")));
    }
    const at::Tensor stored = file.tensor(found->second);
    if (stored.sizes() != parameter.value().sizes()) {
      throw InputError(fmt::format("{}: tensor '{}': expected the shape [{}] by config.json, found [{}]", path,
                                   parameter.key(), fmt::join(parameter.value().sizes().vec(), ", "),
                                   fmt::join(stored.sizes().vec(), ", ")));
    }
    parameter.value().copy_(stored);
    names.erase(found);
  }
  if (!names.empty()) {
    throw InputError(fmt::format("{}: tensor '{}' is no part of a {} model of this config.json{}", path,
                                 names.begin()->second, model.info().model_type,
                                 names.size() > 1 ? fmt::format(" ({} more)", names.size() - 1) : ""));
  }
}

Json read_config(const fs::path& folder) {
  Json config = read_json_file(folder / kConfigFile);
  if (!config.is_object()) throw InputError(fmt::format("{}: expected a JSON object", (folder / kConfigFile).string()));
  return config;
}

template <class Work>
auto naming_folder(const fs::path& folder, const Work& work) {
  try {
    return work();
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", folder.string(), error.what()));
  }
}

std::shared_ptr<LanguageModel> build(const fs::path& folder, const Json& config, bool untied_head) {
  const fs::path generation = folder / kGenerationConfigFile;
  return naming_folder(folder, [&] {
    return build_model(config, {.untied_head = untied_head,
                                .generation_config = fs::exists(generation) ? read_json_file(generation) : Json()});
  });
}

Json saved_config(const LanguageModel& model, std::optional<TokenId> pad_id) {
  Json config = model.info().config;
  config["architectures"] = Json::array({model.info().architecture});
  config.erase("torch_dtype");
  config["dtype"] = "float32";
  if (pad_id && (!config.contains("pad_token_id") || config["pad_token_id"].is_null()))
    config["pad_token_id"] = *pad_id;
  return config;
}

}  // namespace

std::shared_ptr<LanguageModel> load_model(const fs::path& folder) {
  const Json config = read_config(folder);
  if (!fs::exists(folder / kWeightsFile)) {
    throw InputError(
        fmt::format("{}: expected weights in {}, found none; give a folder that has them, or train from random ones "
                    "(from_scratch: true)",
                    folder.string(), kWeightsFile));
  }
  const SafetensorsFile file(folder / kWeightsFile);
  std::map<std::string, std::string> names;
  const bool untied_head = naming_folder(folder, [&] {
    names = stored_names(file, config_text(config, "model_type", ""));
    return has_own_head(file, names, config);
  });
  if (!untied_head) names.erase(kHead);
  auto model = build(folder, config, untied_head);
  copy_weights(*model, file, std::move(names));
  return model;
}

std::shared_ptr<LanguageModel> create_model(const fs::path& folder, std::uint64_t seed) {
  const Json config = read_config(folder);
  auto model = build(folder, config, !config_flag(config, "tie_word_embeddings", true));
  model->initialise_weights(at::detail::createCPUGenerator(seed));
  return model;
}

void save_model(const LanguageModel& model, const fs::path& folder, std::optional<TokenId> pad_id) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& parameter : model.named_parameters()) tensors.emplace_back(parameter.key(), parameter.value());
  write_safetensors(folder / kWeightsFile, tensors);
  if (!model.info().generation_config.is_null()) {
    write_json_file(folder / kGenerationConfigFile, model.info().generation_config);
  }
  write_json_file(folder / kConfigFile, saved_config(model, pad_id));
}

}  // namespace lockstep
