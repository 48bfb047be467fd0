#include "lockstep/job/hyperparameters.h"

#include <fmt/format.h>

#include "lockstep/core/byte_size.h"
#include "lockstep/core/error.h"

namespace lockstep::job {
namespace {

KeyTable::Text to_text(const HyperparameterValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return {{*flag ? "true" : "false"}};
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return {*list, true};
  if (const auto* text = std::get_if<std::string>(&value)) return {{*text}};
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return {{fmt::to_string(*whole)}};
  return {{fmt::to_string(std::get<double>(value))}};
}

}  // namespace

Hyperparameters Hyperparameters::from_choices(const HyperparameterChoices& choices) {
  Hyperparameters hyperparameters;
  KeyTable table;
  hyperparameters.bind(table);
  for (const auto& [name, value] : choices) table.set(name, to_text(value), "hyperparameters");
  hyperparameters.validate();
  return hyperparameters;
}

std::vector<std::pair<std::string, std::string>> Hyperparameters::values() const {
  Hyperparameters copy = *this;
  KeyTable table;
  copy.bind(table);
  return table.values();
}

std::string Hyperparameters::changes() const {
  Hyperparameters changed = *this, defaults;
  KeyTable of_changed, of_defaults;
  changed.bind(of_changed);
  defaults.bind(of_defaults);
  return of_changed.changes(of_defaults);
}

void Hyperparameters::validate() const {
  for (const std::string& path : {output_dir, logging_dir.value_or(""), resume_from_checkpoint.folder}) {
    if (path.starts_with('~')) {
      throw InputError(
          fmt::format("output_dir, logging_dir, resume_from_checkpoint: expected a whole path, found '{}'; "
                      "write the home folder's path, or ./ before the ~",
                      path));
    }
  }
  try {
    core::parse_byte_size(max_shard_size);
  } catch (const InputError& error) {
    throw InputError(fmt::format("max_shard_size: {}", error.what()));
  }
  if (evaluation_strategy == EvaluationStrategy::kNo && (load_best_model_at_end || early_stopping_patience > 0)) {
    throw InputError(
        "load_best_model_at_end, early_stopping_patience: expected evaluations, found evaluation_strategy: no; set it "
        "to epoch");
  }
  const bool has_lora_keys = lora_r || lora_alpha || lora_dropout || lora_use_rslora || !lora_target_modules.empty();
  if (has_lora_keys && peft_type != PeftType::kLora) {
    throw InputError(
        "lora_r, lora_alpha, lora_dropout, lora_use_rslora, lora_target_modules: expected with peft_type: "
        "lora, found peft_type: none; add peft_type: lora, or leave them out");
  }
  if (fp16 && bf16 != Bf16Products::kOff)
    throw InputError("bf16, fp16: expected one of them, found both; leave out fp16");
  if (num_train_epochs == 0 && max_steps <= 0) {
    throw InputError("num_train_epochs: expected a number above 0, found 0; nothing would be trained");
  }
  if (max_steps == 0) throw InputError("max_steps: expected -1 (by epochs) or a number from 1 up, found 0");
}

}  // namespace lockstep::job
