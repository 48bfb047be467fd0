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
  Bf16Products bf16 = Bf16Products::kOff;
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

  /// Binds every key to a member of this object, with its valid values and its help.
  void bind(KeyTable& table);
  /// Checks constraints between keys. Throws InputError if one is violated.
  void validate() const;

  /// Returns every key with its value, in the notation of a job file.
  std::vector<std::pair<std::string, std::string>> values() const;
  /// Returns the keys whose values differ from the defaults, as lines of a job file.
  std::string changes() const;

  bool operator==(const Hyperparameters&) const = default;
};

inline void Hyperparameters::bind(KeyTable& table) {
  using Range = KeyTable::Range;
  constexpr double kLargestInteger = 9007199254740992;  // 2^53: a double holds integers up to here exactly
  const Range not_negative{0};
  const Range positive_integer{1, kLargestInteger};
  const Range beta{0, 0.999999999};
  table.add("output_dir", &output_dir, "folder for the trained model, its tokenizer and metrics.jsonl");
  table.add("overwrite_output_dir", &overwrite_output_dir,
            "replace what another run left in output_dir (lockstep-prep: what another job left in prepared_dir)");
  table.add("logging_dir", &logging_dir, "folder for the run's log as a file, train.log");
  table.add("num_train_epochs", &num_train_epochs, "passes over the training set; fractions are allowed", not_negative);
  table.add("max_steps", &max_steps, "optimizer steps, in place of num_train_epochs; -1: num_train_epochs decides",
            Range{-1, kLargestInteger});
  table.add("per_device_train_batch_size", &per_device_train_batch_size,
            "rows of a micro-batch; none: only max_tokens_per_micro_batch limits it, and each rank contributes 100 "
            "rows to the global batch",
            positive_integer);
  table.add("max_tokens_per_micro_batch", &max_tokens_per_micro_batch,
            "tokens, without padding, that a rank computes at once; none: as many as memory allows, up to the number "
            "beyond which more are no faster",
            positive_integer);
  table.add("per_device_eval_batch_size", &per_device_eval_batch_size, "rows of an evaluation batch", positive_integer);
  table.add("global_batch_size", &global_batch_size,
            "rows of one optimizer step over all ranks; none: per_device_train_batch_size (100 if that is not set) x "
            "ranks x gradient_accumulation_steps",
            positive_integer);
  table.add("gradient_accumulation_steps", &gradient_accumulation_steps, "micro-batches of a rank in one step",
            positive_integer);
  table.add("learning_rate", &learning_rate, "peak learning rate", not_negative);
  table.add("optim", &optim, "optimizer; adamw_torch, adamw_torch_fused and adamw_hf are other names of adamw");
  table.add("weight_decay", &weight_decay, "decoupled weight decay, not applied to norms and biases", not_negative);
  table.add("adam_beta1", &adam_beta1, "for " + titles_of_optimizers(&OptimizerFacts::reads_betas), beta);
  table.add("adam_beta2", &adam_beta2, "for " + titles_of_optimizers(&OptimizerFacts::reads_betas), beta);
  table.add("adam_epsilon", &adam_epsilon, "for " + titles_of_optimizers(&OptimizerFacts::reads_epsilon), not_negative);
  table.add("lr_scheduler_type", &lr_scheduler_type, "how the learning rate changes over the steps");
  table.add("warmup_steps", &warmup_steps, "steps in which the learning rate rises from 0", Range{0, kLargestInteger});
  table.add("warmup_ratio", &warmup_ratio, "warmup_steps as a share of all steps; used if warmup_steps is 0",
            Range{0, 1});
  table.add("max_grad_norm", &max_grad_norm, "gradients are scaled down to this norm; 0: no clipping", not_negative);
  table.add("neftune_noise_alpha", &neftune_noise_alpha,
            "noise on the embeddings during training (NEFTune): uniform in +- this / sqrt(tokens of the row x "
            "features); none: no noise",
            not_negative);
  table.add("gradient_checkpointing", &gradient_checkpointing,
            "true: the backward pass recomputes each layer's forward pass in place of keeping its results; auto: only "
            "if memory requires it");
  table.add(
      "label_smoothing_factor", &label_smoothing_factor,
      "share of the loss that is the mean over the vocabulary in place of the label's; applies to evaluations, too",
      Range{0, 0.999});
  table.add("bf16", &bf16,
            "linear layers and the head multiply in bf16 during training; sums, weights and everything else stay fp32; "
            "auto: if products in bf16 are measured to be faster");
  table.add("fp16", &fp16,
            "as bf16, but in fp16, for decoder-only models on GPUs without bf16; a loss scale adapts to overflows");
  table.add("tf32", &tf32,
            "GPUs since Ampere round the factors of fp32 matrix products to 10 bits, which takes a fraction of the "
            "time; applies to evaluations, too");
  table.add("max_skipped_steps", &max_skipped_steps,
            "steps in a row that are skipped because their loss or gradients are not finite; one more ends the run",
            Range{0, kLargestInteger});
  table.add("logging_steps", &logging_steps, "metrics.jsonl gets one line every this many steps", positive_integer);
  table.add("evaluation_strategy", &evaluation_strategy, "when the validation loss is computed",
            /*fallback=*/EvaluationStrategy::kEpoch);
  table.add("save_strategy", &save_strategy,
            "when a checkpoint is saved, in addition to the final model; no: only when a request stops the run");
  table.add("save_steps", &save_steps, "steps between checkpoints, for save_strategy: steps", positive_integer);
  table.add("save_interval_minutes", &save_interval_minutes, "minutes between checkpoints, for save_strategy: time",
            not_negative);
  table.add("save_total_limit", &save_total_limit,
            "number of newest checkpoints that are kept, not counting the best one that load_best_model_at_end needs; "
            "none: all",
            positive_integer);
  table.add("load_best_model_at_end", &load_best_model_at_end,
            "save the model of the best evaluation at the end; each best evaluation so far is a checkpoint");
  table.add("metric_for_best_model", &metric_for_best_model, "metric to minimise");
  table.add("early_stopping_patience", &early_stopping_patience,
            "training ends after this many evaluations in a row that do not improve on the best; 0: never",
            Range{0, kLargestInteger});
  table.add("max_shard_size", &max_shard_size,
            "a larger model is saved in several files of at most this size, e.g. 500MB or 5GB");
  table.add("test_size", &test_size,
            "share of the training rows used for validation if the job names no validation set (T5-type)",
            Range{0, 0.999});
  table.add("seed", &seed, "seed of random weights, data order, dropout and split", Range{0, kLargestInteger});
  table.add("device", &device, "where to compute; auto: each rank on a GPU of its own if there are any");
  table.add("threads_per_rank", &threads_per_rank, "threads of a rank; 0: its share of the cores", Range{0, 4096});
  table.add("optimizer_sharding", &optimizer_sharding,
            "what the ranks divide among themselves: state: the optimizer's state (ZeRO-1); state_and_gradients: "
            "gradients, too (ZeRO-2); full: the layers' parameters, too (ZeRO-3)");
  table.add("gradient_reduce_dtype", &gradient_reduce_dtype,
            "bf16: gradients are sent and summed in half the bytes, with rounding");
  table.add("ddp_bucket_cap_mb", &ddp_bucket_cap_mb,
            "MiB of gradients in one message of the reduction, which overlaps the backward pass", Range{1, 1 << 20});
  table.add("collective_timeout_s", &collective_timeout_s,
            "seconds for which ranks wait for each other before the job ends; 0: without limit", Range{0, 1 << 30});
  table.add("resume_from_checkpoint",
            KeyTable::Textual{.text = [this] { return resume_from_checkpoint.to_text(); },
                              .read =
                                  [this](const std::string& text) {
                                    resume_from_checkpoint = ResumeFrom::from_text(text);
                                    return true;
                                  }},
            "auto: resume from the newest intact checkpoint in output_dir, if there is one; never; or the folder of a "
            "checkpoint");
  table.add("max_run_minutes", &max_run_minutes,
            "save a checkpoint and stop before this time is over; 0: the same before the end of a Slurm job "
            "(SLURM_JOB_END_TIME)",
            Range{0, 1 << 30});
  table.add("peft_type", &peft_type, "lora: train a LoRA adapter and leave the model's weights unchanged");
  table.add("lora_r", &lora_r, "rank of the adapter; none: 8, or the value of an adapter that is trained further",
            Range{1, 1 << 20});
  table.add("lora_alpha", &lora_alpha,
            "the adapter's output is scaled by lora_alpha / lora_r; none: 16, or the value of an adapter that is "
            "trained further",
            Range{1, 1 << 20});
  table.add("lora_dropout", &lora_dropout,
            "dropout of the adapter's inputs; none: 0, or the value of an adapter that is trained further",
            Range{0, 0.999});
  table.add("lora_use_rslora", &lora_use_rslora,
            "scale by lora_alpha / sqrt(lora_r); none: false, or the value of an adapter that is trained further");
  table.add("lora_target_modules", &lora_target_modules,
            "linear layers to adapt, by the ends of their names, or all-linear; none: peft's choice for the family");
}

}  // namespace lockstep::job

namespace lockstep {
using job::HyperparameterChoices;
using job::Hyperparameters;
using job::HyperparameterValue;
}  // namespace lockstep
