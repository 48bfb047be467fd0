#include "lockstep/models/pretrained.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "lockstep/core/error.h"
#include "lockstep/core/stop_flag.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/families.h"
#include "models/config.h"
#include "models/weights/save_weights.h"
#include "models/weights/weight_files.h"

namespace lockstep::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "config.json";
constexpr const char* kGenerationConfigFile = "generation_config.json";
constexpr const char* kHeadPrefix = "lm_head.";
constexpr const char* kHead = "lm_head.weight";

bool has_ignored_suffix(const std::string& name, const Family& family) {
  return std::ranges::any_of(family.ignored_suffixes, [&](const std::string& end) { return name.ends_with(end); });
}

std::string parameter_name(const std::string& stored, const Family& family) {
  for (const auto& [from, to] : family.renamed) {
    if (stored.starts_with(from)) return to + stored.substr(from.size());
  }
  const bool is_bare = !stored.starts_with(family.base_prefix) && !stored.starts_with(kHeadPrefix);
  return is_bare ? family.base_prefix + stored : stored;
}

std::string saved_name(const std::string& parameter, const Family& family) {
  for (const auto& [to, from] : family.renamed) {
    if (parameter.starts_with(from)) return to + parameter.substr(from.size());
  }
  return parameter;
}

std::map<std::string, std::string> stored_names(const WeightFiles& files, const Family& family) {
  std::map<std::string, std::string> names;  // parameter -> name in the file
  for (const std::string& stored : files.names()) {
    if (has_ignored_suffix(stored, family)) continue;
    names.emplace(parameter_name(stored, family), stored);
  }
  return names;
}

bool declares_untied_head(const Family& family, const Json& config) {
  return family.reads_tie_flag && !config_flag(config, "tie_word_embeddings", family.ties_head);
}

// Returns whether the head is untied, as transformers decides: a head that equals the embedding is tied to it unless
// config.json says otherwise.
bool has_untied_head(const WeightFiles& files, const std::map<std::string, std::string>& names, const Family& family,
                     const Json& config) {
  const bool declared_own = declares_untied_head(family, config);
  const auto head = names.find(kHead);
  const auto embedding = names.find(family.embedding);
  if (declared_own || head == names.end() || embedding == names.end()) return declared_own;
  const at::Tensor head_weight = files.tensor(head->second), embedding_weight = files.tensor(embedding->second);
  return head_weight.scalar_type() != embedding_weight.scalar_type() || !head_weight.equal(embedding_weight);
}

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
  names_ = stored_names(*files_, family);
  has_own_head_ =
      naming_folder(folder, [&] { return lockstep::models::has_untied_head(*files_, names_, family, config); });
  // A tied head is the embedding under another name; files may contain both, or only the head.
  if (const auto head = names_.find(kHead); head != names_.end() && !has_own_head_) {
    names_.emplace(family.embedding, head->second);
    names_.erase(kHead);
  }
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

void PretrainedWeights::copy(const std::string& parameter, at::Tensor into) const {
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
  }
  core::write_json_file(folder / kConfigFile, saved_config(model, options));
}

}  // namespace lockstep::models
