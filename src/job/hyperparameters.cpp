#include "lockstep/job/hyperparameters.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "lockstep/core/byte_size.h"
#include "lockstep/core/error.h"

namespace lockstep::job {
namespace {

constexpr double kLargestInteger = 9007199254740992;  // 2^53: a double holds integers up to here exactly

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

void Hyperparameters::bind(KeyTable& table) {
  using Range = KeyTable::Range;
  using Choices = KeyTable::Choices;
  const Range not_negative{0};
  const Range positive_integer{1, kLargestInteger};
  const Range beta{0, 0.999999999};
  table.add("output_dir", &output_dir, "folder for the trained model, its tokenizer and metrics.jsonl");
  table.add("overwrite_output_dir", &overwrite_output_dir,
            "replace what another run left in output_dir (lockstep-prep: in prepared_dir)");
  table.add("logging_dir", &logging_dir, "folder for the run's log as a file, train.log");
  table.add("num_train_epochs", &num_train_epochs, "passes over the training set; fractions are allowed", not_negative);
  table.add("max_steps", &max_steps, "optimizer steps, instead of num_train_epochs; -1: by epochs",
            Range{-1, kLargestInteger});
  table.add(
      "per_device_train_batch_size", &per_device_train_batch_size,
      "rows of a micro-batch; none: max_tokens_per_micro_batch alone bounds it, and a rank's share of a global batch "
      "is 100 rows",
      positive_integer);
  table.add("max_tokens_per_micro_batch", &max_tokens_per_micro_batch,
            "tokens, without padding, that a rank computes at once; none: as many as memory allows, up to where more "
            "are no faster",
            positive_integer);
  table.add("per_device_eval_batch_size", &per_device_eval_batch_size, "rows of an evaluation batch", positive_integer);
  table.add("global_batch_size", &global_batch_size,
            "rows of one optimizer step over all ranks; none: per_device_train_batch_size (100) x ranks x "
            "gradient_accumulation_steps",
            positive_integer);
  table.add("gradient_accumulation_steps", &gradient_accumulation_steps, "micro-batches of a rank in one step",
            positive_integer);
  table.add("learning_rate", &learning_rate, "peak learning rate", not_negative);
  table.add(
      "optim", &optim,
      "what makes updates of gradients: adamw (also as adamw_torch, adamw_torch_fused, adamw_hf), adafactor, lion",
      Choices{"adamw", "adafactor", "lion", "adamw_torch", "adamw_torch_fused", "adamw_hf"});
  table.add("weight_decay", &weight_decay, "decoupled; not for norms and biases", not_negative);
  table.add("adam_beta1", &adam_beta1, "AdamW, Lion", beta);
  table.add("adam_beta2", &adam_beta2, "AdamW, Lion", beta);
  table.add("adam_epsilon", &adam_epsilon, "AdamW", not_negative);
  table.add("lr_scheduler_type", &lr_scheduler_type, "learning rate over the steps",
            Choices{"linear", "cosine", "constant", "constant_with_warmup"});
  table.add("warmup_steps", &warmup_steps, "steps in which the learning rate rises from 0", Range{0, kLargestInteger});
  table.add("warmup_ratio", &warmup_ratio, "the same as a share of all steps, where warmup_steps is 0", Range{0, 1});
  table.add("max_grad_norm", &max_grad_norm, "gradients are scaled down to this norm; 0: no clipping", not_negative);
  table.add(
      "neftune_noise_alpha", &neftune_noise_alpha,
      "noise on the embeddings while training (NEFTune): uniform in +- this / sqrt(tokens of the row x features); "
      "none: no noise",
      not_negative);
  table.add("gradient_checkpointing", &gradient_checkpointing,
            "the backward pass computes each layer's forward pass again, instead of keeping what it computed; auto: if "
            "memory would else not be enough",
            Choices{"false", "true", "auto"});
  table.add("label_smoothing_factor", &label_smoothing_factor,
            "share of the loss that is the mean over the vocabulary instead of the label's; evaluations too",
            Range{0, 0.999});
  table.add("bf16", &bf16,
            "linear layers and the head multiply in bf16 while training; sums, weights and all else stay fp32");
  table.add(
      "fp16", &fp16,
      "the same in fp16, of decoder-only models, with a loss scale that follows overflows; for GPUs without bf16");
  table.add(
      "tf32", &tf32,
      "on GPUs since Ampere, products of fp32 matrices round their factors to 10 bits, and take a fraction of the "
      "time; evaluations too");
  table.add("max_skipped_steps", &max_skipped_steps,
            "steps in a row that are skipped because their loss or gradients are not finite; one more ends the run",
            Range{0, kLargestInteger});
  table.add("logging_steps", &logging_steps, "a line in the log every so many steps", positive_integer);
  table.add("evaluation_strategy", &evaluation_strategy, "when the validation loss is computed (no, epoch)");
  table.add("save_strategy", &save_strategy,
            "when a checkpoint is saved, beside the model at the end; no: only where a request stops the run",
            Choices{"no", "steps", "epoch", "time"});
  table.add("save_steps", &save_steps, "save_strategy: steps: every so many", positive_integer);
  table.add("save_interval_minutes", &save_interval_minutes, "save_strategy: time: every so many", not_negative);
  table.add("save_total_limit", &save_total_limit,
            "the newest so many checkpoints stay, beside the best with load_best_model_at_end; none: all",
            positive_integer);
  table.add("load_best_model_at_end", &load_best_model_at_end,
            "the model that is saved at the end is that of the best evaluation; each best so far is a checkpoint");
  table.add("metric_for_best_model", &metric_for_best_model, "what the best evaluation has least of",
            Choices{"eval_loss", "loss"});
  table.add("early_stopping_patience", &early_stopping_patience,
            "evaluations in a row that are no better than the best, after which training ends; 0: it does not",
            Range{0, kLargestInteger});
  table.add("max_shard_size", &max_shard_size,
            "a larger model is saved in several files of at most this size: 500MB, 5GB");
  table.add("test_size", &test_size, "share of rows split off for validation where none are given (T5-type)",
            Range{0, 0.999});
  table.add("seed", &seed, "of weights, data order, dropout and split", Range{0, kLargestInteger});
  table.add("device", &device, "where to compute; auto: on a GPU where there is one, a rank each",
            Choices{"auto", "cpu", "cuda"});
  table.add("threads_per_rank", &threads_per_rank, "0: the rank's share of the cores", Range{0, 4096});
  table.add(
      "optimizer_sharding", &optimizer_sharding,
      "what ranks share instead of each holding all of it: the optimizer's state (ZeRO-1); gradients, too (ZeRO-2); "
      "full: the layers' parameters, too (ZeRO-3)",
      Choices{"none", "state", "state_and_gradients", "full"});
  table.add("gradient_reduce_dtype", &gradient_reduce_dtype,
            "bf16: gradients are sent and summed in half the bytes, and rounded", Choices{"fp32", "bf16"});
  table.add("ddp_bucket_cap_mb", &ddp_bucket_cap_mb,
            "MiB of gradients that ranks sum at a time, while the backward pass goes on", Range{1, 1 << 20});
  table.add("collective_timeout_s", &collective_timeout_s,
            "seconds for which ranks wait for each other before the job ends; 0: for ever", Range{0, 1 << 30});
  table.add(
      "resume_from_checkpoint", &resume_from_checkpoint,
      "auto: go on from the newest whole checkpoint in output_dir, if there is one; never; or a checkpoint's folder");
  table.add("max_run_minutes", &max_run_minutes,
            "saves a checkpoint and stops in time; 0: so does the end of a Slurm job (SLURM_JOB_END_TIME)",
            Range{0, 1 << 30});
  table.add("peft_type", &peft_type, "lora: trains a LoRA adapter and leaves the model's weights alone",
            Choices{"none", "lora"});
  table.add("lora_r", &lora_r, "rank of the adapter; none: 8, or that of an adapter that is trained further",
            Range{1, 1 << 20});
  table.add("lora_alpha", &lora_alpha, "what it adds is scaled by lora_alpha / lora_r; none: 16, or likewise",
            Range{1, 1 << 20});
  table.add("lora_dropout", &lora_dropout, "dropout of the adapter's inputs; none: 0, or likewise", Range{0, 0.999});
  table.add("lora_use_rslora", &lora_use_rslora,
            "scaled by lora_alpha / sqrt(lora_r) instead; none: false, or likewise");
  table.add("lora_target_modules", &lora_target_modules,
            "the linear layers that it adapts, by the ends of their names, or all-linear; none: those that peft takes");
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

void Hyperparameters::validate() {
  if (evaluation_strategy != "no" && evaluation_strategy != "epoch") {
    spdlog::warn("evaluation_strategy: '{}' is not one of: no, epoch; using epoch", evaluation_strategy);
    evaluation_strategy = "epoch";
  }
  if (optim.starts_with("adamw_")) optim = "adamw";  // the Hugging Face Trainer's names for several implementations
  try {
    core::parse_byte_size(max_shard_size);
  } catch (const InputError& error) {
    throw InputError(fmt::format("max_shard_size: {}", error.what()));
  }
  if (evaluation_strategy == "no" && (load_best_model_at_end || early_stopping_patience > 0)) {
    throw InputError(
        "load_best_model_at_end, early_stopping_patience: expected evaluations, found evaluation_strategy: no; set it "
        "to "
        "epoch");
  }
  if (resume_from_checkpoint.empty()) {
    throw InputError("resume_from_checkpoint: expected auto, never or a checkpoint's folder, found nothing");
  }
  const bool has_lora_keys = lora_r || lora_alpha || lora_dropout || lora_use_rslora || !lora_target_modules.empty();
  if (has_lora_keys && peft_type != "lora") {
    throw InputError(
        "lora_r, lora_alpha, lora_dropout, lora_use_rslora, lora_target_modules: expected with peft_type: "
        "lora, found peft_type: none; add peft_type: lora, or leave them out");
  }
  if (fp16 && bf16) throw InputError("bf16, fp16: expected one of them, found both; leave out fp16");
  if (num_train_epochs == 0 && max_steps <= 0) {
    throw InputError("num_train_epochs: expected a number above 0, found 0; nothing would be trained");
  }
  if (max_steps == 0) throw InputError("max_steps: expected -1 (by epochs) or a number from 1 up, found 0");
}

}  // namespace lockstep::job
