#include "lockstep/train/model_card.h"

#include <fmt/format.h>
#include <torch/version.h>
#include <cmath>
#include <filesystem>
#include <functional>
#include <utility>

#include "lockstep/comm/mpi/mpi_communicator.h"
#include "lockstep/core/json.h"

namespace lockstep::train {
namespace {

using Cells = std::vector<std::string>;

std::string in_quotes(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Returns the model's name on the hub without a revision, or an empty string for a folder.
std::string hub_name(const std::string& model) {
  return model.empty() || std::filesystem::exists(model) ? "" : model.substr(0, model.find('@'));
}

std::string front_matter(const ModelCard& card) {
  const std::string base = hub_name(card.model.origin);
  return fmt::format("---\n{}library_name: {}\npipeline_tag: {}\ntags:\n- lockstep\n- {}\n---\n",
                     base.empty() ? "" : fmt::format("base_model: {}\n", in_quotes(base)), card.library_name,
                     card.model.has_encoder ? "text2text-generation" : "text-generation", card.model.model_type);
}

std::string introduction(const ModelCard& card) {
  const std::string name = hub_name(card.origin.model);
  std::string text = fmt::format("A {} (`{}`){}, ", card.model.has_encoder ? "T5-type model" : "GPT-type model",
                                 card.model.architecture, card.library_name == "peft" ? " with a LoRA adapter" : "");
  text += card.origin.from_scratch ? "trained by Lockstep from random weights" : "fine-tuned by Lockstep";
  if (!card.origin.model.empty()) {
    text += card.origin.from_scratch ? ", with the configuration and tokenizer of " : " from ";
    text += name.empty() ? fmt::format("`{}`", card.origin.model)
                         : fmt::format("[{}](https://huggingface.co/{})", card.origin.model, name);
  }
  return text + ".\n";
}

std::string usage(const ModelCard& card, const std::string& name) {
  const std::string prefix = card.library_name == "peft" ? "AutoPeftModelFor" : "AutoModelFor";
  const std::string model_class = prefix + (card.model.has_encoder ? "Seq2SeqLM" : "CausalLM");
  const char* answer = card.model.has_encoder ? "output[0]" : "output[0, inputs.input_ids.shape[1]:]";
  return fmt::format(R"(## Use

```python
from {3} import {0}
from transformers import AutoTokenizer

folder = {1}  # this one
model = {0}.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
inputs = tokenizer("a prompt as in training", return_tensors="pt", return_token_type_ids=False)
output = model.generate(**inputs, max_new_tokens=64)
print(tokenizer.decode({2}, skip_special_tokens=True))
```
)",
                     model_class, in_quotes(name), answer, card.library_name);
}

std::string table(const Cells& head, const std::vector<Cells>& rows) {
  std::string text = fmt::format("| {} |\n|---|", fmt::join(head, " | "));
  for (std::size_t i = 1; i < head.size(); ++i) text += "---:|";
  text += '\n';
  for (const Cells& row : rows) text += fmt::format("| {} |\n", fmt::join(row, " | "));
  return text;
}

// An epoch whose steps were all skipped has no loss.
std::string loss_text(double loss) { return std::isfinite(loss) ? fmt::format("{:.4f}", loss) : "-"; }

std::string results(const ModelCard& card) {
  std::vector<Cells> rows;
  for (const EpochMetrics& epoch : card.epochs) {
    rows.push_back({fmt::format("{:.4g}", epoch.epoch), fmt::to_string(epoch.step), loss_text(epoch.loss),
                    epoch.eval_loss ? fmt::format("{:.4f}", *epoch.eval_loss) : "-"});
  }
  std::string text = "## Results\n\n" + table({"epoch", "step", "training loss", "validation loss"}, rows);
  text += "\nLosses are means over the target tokens, in natural logarithms; that of training as the epoch went.\n";
  const EpochMetrics& last = card.epochs.back();
  text += fmt::format("At the end: training loss {}", loss_text(last.loss));
  if (last.eval_loss) text += fmt::format(", validation loss {:.4f}", *last.eval_loss);
  text += ".\n";
  std::uint64_t skipped = 0;
  for (const EpochMetrics& epoch : card.epochs) skipped += epoch.skipped_steps;
  if (skipped > 0)
    text += fmt::format("Steps skipped, because their loss or gradients were not finite: {}.\n", skipped);
  return text;
}

// One row of the data table: counts something, for training and for validation.
using Count = std::function<std::string(const SetSummary&)>;

std::string of_report(const SetSummary& set,
                      const std::function<std::uint64_t(const data::TokenizationReport&)>& count) {
  return set.origin ? fmt::to_string(count(set.origin->report)) : "-";
}

std::vector<std::pair<std::string, Count>> counts() {
  const auto report = [](auto member) -> Count {
    return [member](const SetSummary& set) { return of_report(set, member); };
  };
  return {
      {"rows in the datasets", report([](const data::TokenizationReport& of) { return of.read.rows; })},
      {"rows dropped", report([](const data::TokenizationReport& of) { return of.dropped_rows(); })},
      {"duplicates", report([](const data::TokenizationReport& of) { return of.read.duplicates; })},
      {"inputs cut", report([](const data::TokenizationReport& of) { return of.truncated_inputs; })},
      {"outputs cut", report([](const data::TokenizationReport& of) { return of.truncated_targets; })},
      {"empty outputs", report([](const data::TokenizationReport& of) { return of.empty_outputs; })},
      {"rows used", [](const SetSummary& set) { return fmt::to_string(set.rows); }},
      {"input tokens used", [](const SetSummary& set) { return fmt::to_string(set.input_tokens); }},
      {"target tokens used", [](const SetSummary& set) { return fmt::to_string(set.target_tokens); }},
  };
}

std::string sources(const std::string& name, const SetSummary& set) {
  if (!set.origin) return "";
  Cells names;
  for (const std::string& dataset : set.origin->datasets) names.push_back(fmt::format("`{}`", dataset));
  return fmt::format("- {}: {}\n", name, fmt::join(names, ", "));
}

std::string data(const ModelCard& card) {
  std::vector<Cells> rows;
  for (const auto& [name, count] : counts()) {
    rows.push_back({name, count(card.training), card.validation ? count(*card.validation) : "-"});
  }
  std::string text = "## Data\n\n" + sources("training", card.training);
  if (!card.validation) {
    text += "- validation: none\n";
  } else if (card.validation_set_apart) {
    text += fmt::format("- validation: set apart from these rows, by test_size {}\n", card.hyperparameters.test_size);
  } else {
    text += sources("validation", *card.validation);
  }
  return text + "\n" + table({"", "training", "validation"}, rows) +
         "\nTarget tokens are those of the outputs and their ends, which the loss covers.\n";
}

std::string optimizer(const Hyperparameters& with) {
  const job::OptimizerFacts& facts = facts_of(with.optim);
  std::string text(facts.title);
  if (facts.reads_betas) text += fmt::format(", betas {} and {}", with.adam_beta1, with.adam_beta2);
  if (facts.reads_epsilon) text += fmt::format(", epsilon {}", with.adam_epsilon);
  return text;
}

std::string training(const ModelCard& card) {
  const Hyperparameters& with = card.hyperparameters;
  std::string text = "## Training\n\n";
  const auto add = [&](const char* name, const std::string& value) { text += fmt::format("- {}: {}\n", name, value); };
  add("epochs and steps", fmt::format("{:.4g}, {}", card.epochs.back().epoch, card.epochs.back().step));
  add("global batch", fmt::format("{} rows", card.global_batch_size));
  add("ranks", fmt::format("{}, of {} threads each", card.ranks, card.threads));
  add("learning rate",
      fmt::format("{}, {}, {}", with.learning_rate, name_of(with.lr_scheduler_type),
                  with.warmup_steps > 0 ? fmt::format("{} steps of warmup", with.warmup_steps)
                                        : fmt::format("warmup in {} of the steps", with.warmup_ratio)));
  add("optimizer", fmt::format("{}, weight decay {}", optimizer(with), with.weight_decay));
  add("gradients clipped to the norm", fmt::to_string(with.max_grad_norm));
  add("seed", fmt::to_string(with.seed));
  add("numbers", "fp32");
  return text;
}

std::string job(const ModelCard& card) {
  return fmt::format("### Job\n\nOther keys had their defaults.\n\n```yaml\n{}```\n",
                     card.origin.job.empty() ? card.hyperparameters.changes() : card.origin.job);
}

std::string software() {
  return fmt::format("## Software\n\n- Lockstep {}\n- LibTorch {}\n- {}\n", LOCKSTEP_VERSION, TORCH_VERSION,
                     comm::mpi_library_version());
}

}  // namespace

SetSummary SetSummary::of(const TokenizedDataset& used, std::optional<data::ExampleOrigin> origin) {
  SetSummary set{.rows = used.size(), .input_tokens = 0, .target_tokens = 0, .origin = std::move(origin)};
  for (std::uint64_t i = 0; i < used.size(); ++i) {
    set.input_tokens += used.input_length(i);
    set.target_tokens += used.target_length(i);
  }
  return set;
}

std::string to_markdown(const ModelCard& card) {
  const auto folder = std::filesystem::absolute(card.hyperparameters.output_dir).lexically_normal();
  const std::string name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  return fmt::format("{}\n# {}\n\n{}\n{}\n{}\n{}\n{}\n{}\n{}", front_matter(card), name, introduction(card),
                     usage(card, name), results(card), data(card), training(card), job(card), software());
}

}  // namespace lockstep::train
