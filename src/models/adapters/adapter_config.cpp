#include "models/adapters/adapter_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "lockstep/core/error.h"
#include "lockstep/models/families.h"

namespace lockstep::models {
namespace {

// Unsupported options of peft's LoraConfig that change the computation, unless they are null, false or empty.
constexpr std::array kRefused = {
    "use_dora",          "lora_bias",         "modules_to_save", "layer_replication",       "trainable_token_indices",
    "target_parameters", "use_qalora",        "use_bdlora",      "alora_invocation_tokens", "arrow_config",
    "kasa_config",       "monteclora_config", "velora_config",   "megatron_config"};

// Initialisations of A and B that do not modify the base's weights; others (pissa, olora, ...) modify them on loading.
constexpr std::array kInitialisations = {"gaussian", "orthogonal", "eva"};

bool is_unset(const Json& value) {
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

const Json& value_of(const Json& config, const char* key) {
  static const Json kNull;
  const auto found = config.find(key);
  return found == config.end() ? kNull : *found;
}

void refuse(const char* key, const Json& found, const std::string& expected) {
  throw InputError(fmt::format("{}: {} is not supported (expected {})", key, found.dump(), expected));
}

void check_options(const Json& config) {
  const Json& type = value_of(config, "peft_type");
  if (type != "LORA") refuse("peft_type", type, "\"LORA\"");
  for (const char* key : kRefused) {
    if (const Json& value = value_of(config, key); !is_unset(value)) refuse(key, value, "none");
  }
  if (const Json& bias = value_of(config, "bias"); !bias.is_null() && bias != "none") refuse("bias", bias, "\"none\"");
  const Json& drawn = value_of(config, "init_lora_weights");
  const bool is_known = std::ranges::any_of(kInitialisations, [&](const char* name) { return drawn == name; });
  if (!drawn.is_null() && !drawn.is_boolean() && !is_known) {
    refuse("init_lora_weights", drawn, "true, gaussian, orthogonal or eva: the others change the base's weights");
  }
}

double number(const Json& value, const char* key) {
  if (!value.is_number()) throw InputError(fmt::format("{}: expected a number, found {}", key, value.dump()));
  return value.get<double>();
}

std::int64_t rank_of(const Json& value, const char* key) {
  constexpr std::int64_t kLargest = 1 << 20;
  const bool is_whole = value.is_number_integer() && value > 0 && value <= kLargest;
  if (!is_whole)
    throw InputError(fmt::format("{}: expected a whole number of at least 1, found {}", key, value.dump()));
  return value.get<std::int64_t>();
}

// Compiles a pattern that must match the whole name of a module.
text::Regex compile(const std::string& pattern, const char* key) {
  try {
    return text::Regex(fmt::format(R"(\A(?:{})\z)", pattern));
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", key, error.what()));
  }
}

template <class Value>
std::vector<std::pair<text::Regex, Value>> read_patterns(const Json& config, const char* key,
                                                         Value (*read)(const Json&, const char*)) {
  std::vector<std::pair<text::Regex, Value>> patterns;
  const Json& object = value_of(config, key);
  if (object.is_null()) return patterns;
  if (!object.is_object()) throw InputError(fmt::format("{}: expected an object, found {}", key, object.dump()));
  for (const auto& [pattern, value] : object.items()) {
    patterns.emplace_back(compile(fmt::format(R"((?:.*\.)?(?:{}))", pattern), key), read(value, key));
  }
  return patterns;
}

template <class Value>
Value first_match(const std::vector<std::pair<text::Regex, Value>>& patterns, const std::string& module,
                  Value otherwise) {
  const auto found =
      std::ranges::find_if(patterns, [&](const auto& entry) { return entry.first.find(module, 0).has_value(); });
  return found == patterns.end() ? otherwise : found->second;
}

}  // namespace

AdapterConfig::AdapterConfig(const Json& config) {
  if (!config.is_object()) throw InputError("expected a JSON object");
  check_options(config);
  if (config.contains("r")) rank_ = rank_of(config["r"], "r");
  if (config.contains("lora_alpha")) alpha_ = number(config["lora_alpha"], "lora_alpha");
  if (config.contains("lora_dropout")) dropout_ = number(config["lora_dropout"], "lora_dropout");
  if (dropout_ < 0 || dropout_ >= 1) {
    throw InputError(fmt::format("lora_dropout: expected a number from 0 to below 1, found {}", dropout_));
  }
  use_rslora_ = value_of(config, "use_rslora") == true;
  ranks_ = read_patterns(config, "rank_pattern", &rank_of);
  alphas_ = read_patterns(config, "alpha_pattern", &number);

  const Json& targets = value_of(config, "target_modules");
  const auto is_text = [](const Json& item) { return item.is_string(); };
  if (!targets.is_null() && !targets.is_string() && !(targets.is_array() && std::ranges::all_of(targets, is_text))) {
    throw InputError(fmt::format("target_modules: expected names or a pattern, found {}", targets.dump()));
  }
  const bool by_more_than_names =
      !is_unset(value_of(config, "layers_to_transform")) || !is_unset(value_of(config, "exclude_modules"));
  if (targets.is_null() || by_more_than_names) return;
  if (targets.is_array()) {
    targets_ = targets.get<std::vector<std::string>>();
  } else {
    target_pattern_ = compile(targets.get<std::string>(), "target_modules");
  }
}

std::int64_t AdapterConfig::rank(const std::string& module) const { return first_match(ranks_, module, rank_); }

double AdapterConfig::scale(const std::string& module) const {
  const auto rank_here = static_cast<double>(rank(module));
  return first_match(alphas_, module, alpha_) / (use_rslora_ ? std::sqrt(rank_here) : rank_here);
}

bool AdapterConfig::requires_module(const std::string& module) const {
  return target_pattern_ ? target_pattern_->find(module, 0).has_value() : is_target(module, targets_);
}

bool is_target(const std::string& module, const std::vector<std::string>& targets) {
  return std::ranges::any_of(
      targets, [&](const std::string& target) { return module == target || module.ends_with("." + target); });
}

Json new_adapter_config(const LoraConfig& config, const ModelInfo& info, const std::vector<std::string>& targets,
                        bool fan_in_fan_out) {
  // The path of a folder is absolute; a hub name may end with @ and a revision.
  const std::size_t at = info.origin.starts_with('/') ? std::string::npos : info.origin.find('@');
  const Json revision = at == std::string::npos ? Json() : Json(info.origin.substr(at + 1));
  return {{"alpha_pattern", Json::object()},
          {"auto_mapping", nullptr},
          {"base_model_name_or_path", info.origin.substr(0, at)},
          {"bias", "none"},
          {"fan_in_fan_out", fan_in_fan_out},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"lora_alpha", config.alpha},
          {"lora_dropout", config.dropout},
          {"modules_to_save", nullptr},
          {"peft_type", "LORA"},
          {"r", config.rank},
          {"rank_pattern", Json::object()},
          {"revision", revision},
          {"target_modules", targets},
          {"task_type", info.has_encoder ? "SEQ_2_SEQ_LM" : "CAUSAL_LM"},
          {"use_dora", false},
          {"use_rslora", config.use_rslora}};
}

}  // namespace lockstep::models
