#include "lockstep/models/adapters/lora.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/models/families.h"
#include "lockstep/models/layers/linear.h"
#include "lockstep/models/weights/safetensors.h"
#include "models/adapters/adapter_config.h"
#include "models/weights/pickled_weights.h"
#include "models/weights/save_weights.h"

namespace lockstep::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdapterConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr const char* kPickleFile = "adapter_model.bin";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kEndOfA = ".lora_A.weight", kEndOfB = ".lora_B.weight";

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::string list_modules(const std::vector<NamedProjection>& projections) {
  std::set<std::string> names;
  for (const auto& [path, projection] : projections) names.insert(last_part(path));
  return fmt::format("{}", fmt::join(names, ", "));
}

std::shared_ptr<torch::nn::Module> module_of(const at::Tensor& weight) {
  auto module = std::make_shared<torch::nn::Module>();
  module->register_parameter("weight", weight);
  return module;
}

// Adds the term to a layer, and registers its parameters under peft's names.
void attach(Projection& projection, LowRankTerm term) {
  for (at::Tensor* factor : {&term.a, &term.b}) *factor = factor->to(projection.weight.device());
  projection.register_module("lora_A", module_of(term.a));
  projection.register_module("lora_B", module_of(term.b));
  projection.low_rank = std::move(term);
}

void freeze_base(LanguageModel& model) {
  for (const auto& parameter : model.parameters()) parameter.set_requires_grad(false);
}

std::vector<std::string> choose_targets(const LoraConfig& config, const ModelInfo& info,
                                        const std::vector<NamedProjection>& projections) {
  std::vector<std::string> targets = config.target_modules;
  if (targets.empty()) targets = find_family(info.config).lora_targets;
  if (targets.size() == 1 && targets.front() == kAllLinear) {
    targets.clear();
    for (const auto& [path, projection] : projections) {
      if (projection->use.role != ProjectionRole::kHead) targets.push_back(path);
    }
  }
  for (const std::string& target : targets) {
    const bool found = std::ranges::any_of(
        projections, [&](const NamedProjection& projection) { return is_target(projection.first, {target}); });
    if (found) continue;
    throw InputError(
        fmt::format("lora_target_modules: expected names of linear layers of this {} model ({}), or all-linear, found "
                    "'{}'",
                    info.model_type, list_modules(projections), target));
  }
  return targets;
}

// Throws InputError unless the dropout is 0: the head runs at labelled positions only, and dropout masks would not know
// which these are.
void check_head_dropout(double dropout) {
  if (dropout == 0) return;
  throw InputError(
      fmt::format("lora_dropout: expected 0 for an adapter of the output head ({}), found {}; leave the head "
                  "out of the target modules",
                  kHeadModule, dropout));
}

std::unique_ptr<WeightFile> open_weights(const fs::path& folder) {
  if (fs::exists(folder / kWeightsFile)) return std::make_unique<SafetensorsFile>(folder / kWeightsFile);
  if (fs::exists(folder / kPickleFile)) return std::make_unique<PickledWeights>(folder / kPickleFile);
  throw InputError(fmt::format("{}: expected the adapter's weights in {} or {}, found neither", folder.string(),
                               kWeightsFile, kPickleFile));
}

// The tensors of an adapter's file, by module and suffix.
class AdapterTensors {
 public:
  AdapterTensors(const WeightFile& file, const LanguageModel& model, const std::vector<NamedProjection>& projections)
      : file_(file) {
    std::set<std::string> modules;
    for (const auto& [path, projection] : projections) modules.insert(path);
    for (const std::string& name : file.names()) {
      if (repeats_base(name, projections)) continue;
      const bool is_half = name.ends_with(kEndOfA) || name.ends_with(kEndOfB);
      std::string module;
      if (is_half && name.starts_with(kPrefix)) {
        module = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kEndOfA.size());
      }
      if (!modules.contains(module)) {
        throw InputError(fmt::format(
            "{}: tensor '{}' is not part of a LoRA adapter of this {} model; expected lora_A and lora_B of {}",
            file.path().string(), name, model.info().model_type, list_modules(projections)));
      }
      modules_.insert(module);
    }
  }

  bool has(const std::string& module) const { return modules_.contains(module); }

  at::Tensor read(const std::string& module, std::string_view end, at::IntArrayRef shape) const {
    const std::string name = fmt::format("{}{}{}", kPrefix, module, end);
    if (!file_.contains(name)) {
      throw InputError(fmt::format("{}: tensor '{}' is missing, expected with the shape [{}]", file_.path().string(),
                                   name, fmt::join(shape, ", ")));
    }
    const at::Tensor stored = file_.tensor(name);
    if (stored.sizes() != shape) {
      throw InputError(fmt::format(
          "{}: tensor '{}': expected the shape [{}] according to {} and the base model, found [{}]",
          file_.path().string(), name, fmt::join(shape, ", "), kAdapterConfigFile, fmt::join(stored.sizes(), ", ")));
    }
    return stored.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  }

 private:
  // Returns whether a tensor is a copy of the base's weights, which peft also saves for an adapted head. Throws
  // InputError if the copy differs from the base.
  bool repeats_base(const std::string& name, const std::vector<NamedProjection>& projections) const {
    for (const auto& [path, projection] : projections) {
      const std::string base = fmt::format("{}{}.base_layer.", kPrefix, path);
      for (const auto& [end, own] : {std::pair{"weight", projection->weight}, std::pair{"bias", projection->bias}}) {
        if (name != base + end || !own.defined()) continue;
        if (file_.tensor(name).to(at::kFloat).equal(own)) return true;
        throw InputError(
            fmt::format("{}: tensor '{}': expected the base model's own weights, found others; use the base model that "
                        "the adapter was trained on",
                        file_.path().string(), name));
      }
    }
    return false;
  }

  const WeightFile& file_;
  std::set<std::string> modules_;
};

AdapterConfig parse_config(const Json& json, const fs::path& file) {
  try {
    return AdapterConfig(json);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", file.string(), error.what()));
  }
}

}  // namespace

void add_lora(LanguageModel& model, const LoraConfig& config, std::uint64_t seed) {
  if (has_adapter(model)) throw Error("add_lora: the model has an adapter; merge it first");
  const auto projections = projections_of(model);
  const std::vector<std::string> targets = choose_targets(config, model.info(), projections);
  Json saved = new_adapter_config(config, model.info(), targets,
                                  !projections.empty() && projections.front().second->is_transposed());
  const AdapterConfig parsed(saved);
  if (is_target(kHeadModule, targets)) check_head_dropout(config.dropout);
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const at::NoGradGuard no_grad;
  freeze_base(model);
  for (const auto& [path, projection] : projections) {
    if (!is_target(path, targets)) continue;
    const double bound = 1 / std::sqrt(static_cast<double>(projection->in_features()));  // Kaiming, a = sqrt(5)
    attach(*projection, {.a = at::empty({config.rank, projection->in_features()}).uniform_(-bound, bound, generator),
                         .b = at::zeros({projection->out_features(), config.rank}),
                         .scale = parsed.scale(path),
                         .dropout = config.dropout});
  }
  model.set_adapter_config(std::move(saved));
}

bool has_adapter(const LanguageModel& model) { return !model.info().adapter_config.is_null(); }

void load_adapter(LanguageModel& model, const fs::path& folder) {
  if (has_adapter(model)) throw Error("load_adapter: the model has an adapter; merge it first");
  Json json = core::read_json_file(folder / kAdapterConfigFile);
  const AdapterConfig config = parse_config(json, folder / kAdapterConfigFile);
  const auto file = open_weights(folder);
  const auto projections = projections_of(model);
  const AdapterTensors tensors(*file, model, projections);
  std::vector<std::pair<std::shared_ptr<Projection>, LowRankTerm>> terms;
  for (const auto& [path, projection] : projections) {
    if (!tensors.has(path) && !config.requires_module(path)) continue;
    const std::int64_t rank = config.rank(path);
    terms.emplace_back(projection, LowRankTerm{.a = tensors.read(path, kEndOfA, {rank, projection->in_features()}),
                                               .b = tensors.read(path, kEndOfB, {projection->out_features(), rank}),
                                               .scale = config.scale(path),
                                               .dropout = config.dropout()});
  }
  if (terms.empty()) throw InputError(fmt::format("{}: expected tensors, found none", file->path().string()));
  freeze_base(model);
  for (auto& [projection, term] : terms) attach(*projection, std::move(term));
  model.set_adapter_config(std::move(json));
}

void copy_adapter(const fs::path& folder, LanguageModel& model) {
  const at::NoGradGuard no_grad;
  const auto file = open_weights(folder);
  const auto projections = projections_of(model);
  const AdapterTensors tensors(*file, model, projections);
  for (const auto& [path, projection] : projections) {
    if (!projection->low_rank) continue;
    for (const auto& [end, weight] :
         {std::pair{kEndOfA, projection->low_rank->a}, std::pair{kEndOfB, projection->low_rank->b}}) {
      at::Tensor(weight).copy_(tensors.read(path, end, weight.sizes().vec()));
    }
  }
}

void set_adapter_dropout(LanguageModel& model, double dropout) {
  const auto projections = projections_of(model);
  for (const auto& [path, projection] : projections) {
    if (projection->low_rank && projection->use.role == ProjectionRole::kHead) check_head_dropout(dropout);
  }
  for (const auto& [path, projection] : projections) {
    if (projection->low_rank) projection->low_rank->dropout = dropout;
  }
  Json config = model.info().adapter_config;
  config["lora_dropout"] = dropout;
  model.set_adapter_config(std::move(config));
}

void save_adapter(const LanguageModel& model, const fs::path& folder, at::ScalarType type,
                  const std::map<std::string, at::Tensor>* weights) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [path, projection] : projections_of(model)) {
    if (!projection->low_rank) continue;
    for (const auto& [end, factor] :
         {std::pair{kEndOfA, projection->low_rank->a}, {kEndOfB, projection->low_rank->b}}) {
      const std::string parameter = fmt::format("{}{}", path, end);
      tensors.emplace_back(fmt::format("{}{}", kPrefix, parameter), weight_to_save(parameter, factor, weights));
    }
  }
  write_safetensors(folder / kWeightsFile, tensors, type);
  Json config = model.info().adapter_config;
  config["inference_mode"] = true;
  core::write_json_file(folder / kAdapterConfigFile, config);
}

void merge_adapter(LanguageModel& model) {
  const at::NoGradGuard no_grad;
  for (const auto& [path, projection] : projections_of(model)) {
    if (!projection->low_rank) continue;
    const LowRankTerm& term = *projection->low_rank;
    const at::Tensor change = at::matmul(term.b, term.a) * term.scale;  // [out, in]
    projection->weight.add_(projection->is_transposed() ? change.t() : change);
    projection->unregister_module("lora_A");
    projection->unregister_module("lora_B");
    projection->low_rank.reset();
  }
  for (const auto& parameter : model.parameters()) parameter.set_requires_grad(true);
  model.set_adapter_config({});
}

void remove_adapter_files(const fs::path& folder) {
  for (const char* name : {kAdapterConfigFile, kWeightsFile, kPickleFile}) {
    core::remove_file(folder / name);
  }
}

}  // namespace lockstep::models
