#include "train/adapter.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/models/adapters/lora.h"

namespace lockstep::train {
namespace {

// Checks that a key of the job matches the adapter's config; lists may be in any order.
void check_key(const Json& config, const char* job_key, const char* config_key, Json wanted) {
  Json found = config.contains(config_key) ? config[config_key] : Json();
  for (Json* value : {&wanted, &found}) {
    if (value->is_array()) std::sort(value->begin(), value->end());
  }
  if (wanted == found) return;
  throw InputError(
      fmt::format("{}: expected {}, as in the adapter that is trained further ({}), found {}; leave the key out, or "
                  "train a new adapter of the base model",
                  job_key, found.dump(), config_key, wanted.dump()));
}

void continue_adapter(LanguageModel& model, const Hyperparameters& job) {
  const Json& config = model.info().adapter_config;
  if (job.lora_r) check_key(config, "lora_r", "r", *job.lora_r);
  if (job.lora_alpha) check_key(config, "lora_alpha", "lora_alpha", *job.lora_alpha);
  if (job.lora_use_rslora) check_key(config, "lora_use_rslora", "use_rslora", *job.lora_use_rslora);
  const bool by_names = !job.lora_target_modules.empty() && job.lora_target_modules.front() != models::kAllLinear;
  if (by_names) check_key(config, "lora_target_modules", "target_modules", job.lora_target_modules);
  models::set_adapter_dropout(model, job.lora_dropout.value_or(config.value("lora_dropout", 0.0)));
}

void add_new_adapter(LanguageModel& model, const Hyperparameters& job) {
  if (model.info().origin.empty()) {
    throw InputError(
        "peft_type: expected none for random weights (from_scratch), found lora: the adapter would be saved without "
        "its base; save a full model first, and give its folder");
  }
  models::LoraConfig config;
  config.rank = job.lora_r.value_or(config.rank);
  config.alpha = job.lora_alpha.value_or(config.alpha);
  config.use_rslora = job.lora_use_rslora.value_or(config.use_rslora);
  config.dropout = job.lora_dropout.value_or(config.dropout);
  config.target_modules = job.lora_target_modules;
  models::add_lora(model, config, static_cast<std::uint64_t>(job.seed));
}

}  // namespace

void prepare_adapter(LanguageModel& model, const Hyperparameters& hyperparameters) {
  const bool wants_adapter = hyperparameters.peft_type == job::PeftType::kLora;
  if (!wants_adapter && models::has_adapter(model)) {
    throw InputError(
        "the model is a LoRA adapter and its base; give peft_type: lora to train the adapter further, or merge both "
        "into a full model first (lockstep merge)");
  }
  if (!wants_adapter) return;
  if (models::has_adapter(model)) {
    continue_adapter(model, hyperparameters);
  } else {
    add_new_adapter(model, hyperparameters);
  }
  std::int64_t trained = 0, all = 0;
  for (const auto& parameter : model.parameters()) {
    all += parameter.numel();
    if (parameter.requires_grad()) trained += parameter.numel();
  }
  spdlog::info("LoRA: {} of {} parameters are trained, {:.3g} %", trained, all,
               100 * static_cast<double>(trained) / static_cast<double>(all));
}

}  // namespace lockstep::train
