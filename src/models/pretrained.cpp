#include "lockstep/models/pretrained.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <map>
#include <utility>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/stop_flag.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/families.h"
#include "models/config.h"
#include "models/weights/save_weights.h"
#include "models/weights/stored_names.h"
#include "models/weights/weight_files.h"

namespace lockstep::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "config.json";
constexpr const char* kGenerationConfigFile = "generation_config.json";

Json read_config(const fs::path& folder) {
  Json config = core::read_json_file(folder / kConfigFile);
  if (!config.is_object()) throw InputError(fmt::format("{}: expected a JSON object", (folder / kConfigFile).string()));
  return config;
}

template <class Work>
decltype(auto) naming_folder(const fs::path& folder, const Work& work) {
  try {
    return work();
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", folder.string(), error.what()));
  }
}

const Family& family_of(const fs::path& folder, const Json& config) {
  return naming_folder(folder, [&]() -> const Family& { return find_family(config); });
}

std::shared_ptr<LanguageModel> build(const fs::path& folder, const Family& family, const Json& config,
                                     bool untied_head) {
  const fs::path generation = folder / kGenerationConfigFile;
  return naming_folder(folder, [&] {
    return family.build(config,
                        {.untied_head = untied_head,
                         .generation_config = fs::exists(generation) ? core::read_json_file(generation) : Json()});
  });
}

const char* config_dtype(at::ScalarType type) {
  if (type == at::kHalf) return "float16";
  return type == at::kBFloat16 ? "bfloat16" : "float32";
}

Json saved_config(const LanguageModel& model, const SaveOptions& options) {
  Json config = model.info().config;
  config["architectures"] = Json::array({model.info().architecture});
  config.erase("torch_dtype");
  config["dtype"] = config_dtype(options.type);
  if (options.pad_id && (!config.contains("pad_token_id") || config["pad_token_id"].is_null()))
    config["pad_token_id"] = *options.pad_id;
  return config;
}

}  // namespace

PretrainedWeights::PretrainedWeights(const fs::path& folder) {
  const Json config = read_config(folder);
  files_ = std::make_unique<WeightFiles>(folder);
  const Family& family = family_of(folder, config);
  StoredNames stored = naming_folder(folder, [&] { return find_stored_names(*files_, family, config); });
  names_ = std::move(stored.names);
  has_own_head_ = stored.has_untied_head;
}

PretrainedWeights::~PretrainedWeights() = default;

void PretrainedWeights::check(const LanguageModel& model) const {
  std::map<std::string, std::string> surplus = names_;
  for (const auto& parameter : model.named_parameters()) {
    const auto found = surplus.find(parameter.key());
    if (found == surplus.end()) {
      throw InputError(fmt::format("{}: tensor '{}' is missing, which config.json requires with the shape [{}]",
                                   files_->source().string(), parameter.key(),
                                   fmt::join(parameter.value().sizes().vec(), ", ")));
    }
    const at::Tensor stored = files_->tensor(found->second);
    if (stored.sizes() != parameter.value().sizes()) {
      throw InputError(fmt::format("{}: tensor '{}': expected the shape [{}] according to config.json, found [{}]",
                                   files_->path_of(found->second).string(), parameter.key(),
                                   fmt::join(parameter.value().sizes().vec(), ", "),
                                   fmt::join(stored.sizes().vec(), ", ")));
    }
    surplus.erase(found);
  }
  if (!surplus.empty()) {
    throw InputError(fmt::format("{}: tensor '{}' is not part of a {} model of this config.json{}",
                                 files_->path_of(surplus.begin()->second).string(), surplus.begin()->second,
                                 model.info().model_type,
                                 surplus.size() > 1 ? fmt::format(" ({} more)", surplus.size() - 1) : ""));
  }
}

void PretrainedWeights::copy(const std::string& parameter, const at::Tensor& into) const {
  const at::NoGradGuard no_grad;
  into.copy_(files_->tensor(names_.at(parameter)));
}

std::shared_ptr<LanguageModel> build_model(const fs::path& folder, bool has_untied_head) {
  const Json config = read_config(folder);
  return build(folder, family_of(folder, config), config, has_untied_head);
}

std::shared_ptr<LanguageModel> load_model(const fs::path& folder) {
  const PretrainedWeights weights(folder);
  auto model = build_model(folder, weights.has_untied_head());
  weights.check(*model);
  for (const auto& parameter : model->named_parameters()) {
    core::check_stop_signal("the weights were being read; run the same command again");
    weights.copy(parameter.key(), parameter.value());
  }
  return model;
}

std::shared_ptr<LanguageModel> build_model(const fs::path& folder) {
  const Json config = read_config(folder);
  const Family& family = family_of(folder, config);
  const bool untied_head = naming_folder(folder, [&] { return declares_untied_head(family, config); });
  return build(folder, family, config, untied_head);
}

std::shared_ptr<LanguageModel> create_model(const fs::path& folder, std::uint64_t seed) {
  auto model = build_model(folder);
  model->initialise_weights(at::detail::createCPUGenerator(seed));
  return model;
}

void save_model(const LanguageModel& model, const fs::path& folder, const SaveOptions& options) {
  if (has_adapter(model)) throw Error("save_model: the model has an adapter; merge_adapter() first, or save_adapter()");
  remove_adapter_files(folder);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const Family& family = find_family(model.info().config);
  for (const auto& parameter : model.named_parameters()) {
    tensors.emplace_back(saved_name(parameter.key(), family),
                         weight_to_save(parameter.key(), parameter.value(), options.weights));
  }
  save_weights(folder, tensors, options.type, options.max_shard_bytes);
  if (!model.info().generation_config.is_null()) {
    core::write_json_file(folder / kGenerationConfigFile, model.info().generation_config);
  } else {
    core::remove_file(folder / kGenerationConfigFile);  // of another model
  }
  core::write_json_file(folder / kConfigFile, saved_config(model, options));
}

}  // namespace lockstep::models
