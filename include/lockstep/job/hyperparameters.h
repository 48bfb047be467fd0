#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lockstep/job/choices.h"
#include "lockstep/job/key_table.h"
#include "lockstep/job/optimizers.h"

namespace lockstep::job {

/// The value of a hyperparameter that is set by name.
using HyperparameterValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>>;
/// Hyperparameters by name, e.g. {{"num_train_epochs", 3}, {"learning_rate", 1e-3}, {"output_dir", "result"}}.
using HyperparameterChoices = std::map<std::string, HyperparameterValue>;

/// Defines how a model is trained. Names and defaults follow transformers' TrainingArguments and prompt2model.
struct Hyperparameters {
  std::string output_dir = "result";
  std::optional<std::string> logging_dir;
  bool overwrite_output_dir = false;
  double num_train_epochs = 10;
  std::int64_t max_steps = -1;
  std::optional<std::int64_t> per_device_train_batch_size;
  std::optional<std::int64_t> max_tokens_per_micro_batch;
  std::int64_t per_device_eval_batch_size = 100;
  std::optional<std::int64_t> global_batch_size;
  std::int64_t gradient_accumulation_steps = 1;
  double learning_rate = 1e-4;
  Optim optim = Optim::kAdamW;
  double weight_decay = 0.01;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  LrScheduler lr_scheduler_type = LrScheduler::kLinear;
  std::int64_t warmup_steps = 0;
  double warmup_ratio = 0;
  double max_grad_norm = 1.0;
  std::optional<double> neftune_noise_alpha;
  GradientCheckpointing gradient_checkpointing = GradientCheckpointing::kOff;
  double label_smoothing_factor = 0;
  bool bf16 = false;
  bool fp16 = false;
  bool tf32 = false;
  std::int64_t max_skipped_steps = 3;
  std::int64_t logging_steps = 1;
  EvaluationStrategy evaluation_strategy = EvaluationStrategy::kEpoch;
  SaveStrategy save_strategy = SaveStrategy::kNo;
  std::int64_t save_steps = 500;
  double save_interval_minutes = 30;
  std::optional<std::int64_t> save_total_limit;
  bool load_best_model_at_end = false;
  BestMetric metric_for_best_model = BestMetric::kEvalLoss;
  std::int64_t early_stopping_patience = 0;
  std::string max_shard_size = "5GB";
  double test_size = 0.15;
  std::int64_t seed = 42;
  DeviceChoice device = DeviceChoice::kAuto;
  std::int64_t threads_per_rank = 0;
  ResumeFrom resume_from_checkpoint;
  std::int64_t max_run_minutes = 0;
  OptimizerSharding optimizer_sharding = OptimizerSharding::kState;
  GradientReduceType gradient_reduce_dtype = GradientReduceType::kFp32;
  std::int64_t ddp_bucket_cap_mb = 25;
  std::int64_t collective_timeout_s = 600;

  PeftType peft_type = PeftType::kNone;
  std::optional<std::int64_t> lora_r;
  std::optional<std::int64_t> lora_alpha;
  std::optional<double> lora_dropout;
  std::optional<bool> lora_use_rslora;
  std::vector<std::string> lora_target_modules;

  /// Sets the named values and validates the result. Throws InputError for an unknown name (suggesting the nearest and
  /// listing all that are supported) and for a value of the wrong type or out of range.
  static Hyperparameters from_choices(const HyperparameterChoices& choices);

  /// Binds every key to a member of this object.
  void bind(KeyTable& table);
  /// Checks constraints between keys. Throws InputError if one is violated.
  void validate() const;

  /// Returns every key with its value, in the notation of a job file.
  std::vector<std::pair<std::string, std::string>> values() const;
  /// Returns the keys whose values differ from the defaults, as lines of a job file.
  std::string changes() const;

  bool operator==(const Hyperparameters&) const = default;
};

}  // namespace lockstep::job

namespace lockstep {
using job::HyperparameterChoices;
using job::Hyperparameters;
using job::HyperparameterValue;
}  // namespace lockstep
