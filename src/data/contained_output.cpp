#include "lockstep/data/contained_output.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "data/readers/row_blocks.h"
#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

std::string_view without_end(std::string_view text, std::string_view end) {
  if (!end.empty() && text.ends_with(end)) text.remove_suffix(end.size());
  return text;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

// Asks for input_contains_output where a guess could be wrong.
[[noreturn]] void ask_for_key(const std::string& position, std::string_view found) {
  throw InputError(fmt::format(
      "{}: input_contains_output: expected rows that show whether inputs contain their outputs, found {}; set "
      "it to true to remove the outputs from the inputs, or to false to keep them",
      position, found));
}

// Removes model_output from the end of model_input.
class ContainedOutput {
 public:
  ContainedOutput(std::string eos, bool guessed) : eos_(std::move(eos)), guessed_(guessed) {}

  // Removes the output from `row`, the last row of `reader`. Throws InputError if the row does not end with its output.
  void take_off(Row& row, const RowReader& reader) const {
    const auto output = without_end(row.model_output, eos_);
    if (output.empty()) return;
    const auto input = without_end(row.model_input, eos_);
    if (!input.ends_with(output)) {
      throw InputError(fmt::format(
          "{}: expected model_input to end with model_output, {}, found another end; correct the row, or set "
          "input_contains_output: false (inputs are whole prompts) or true (all inputs end with their outputs)",
          reader.position(), guessed_ ? "as in the first rows of the dataset" : "as input_contains_output: true says"));
    }
    if (guessed_ && is_blank(input.substr(0, input.size() - output.size()))) {
      ask_for_key(reader.position(), "a row whose model_input equals its model_output");
    }
    row.model_input.resize(input.size() - output.size());
    row.model_output.resize(output.size());
  }

 private:
  std::string eos_;
  bool guessed_;
};

class ContainedOutputBlock final : public RowReader {
 public:
  ContainedOutputBlock(std::unique_ptr<RowReader> block, ContainedOutput contained_output)
      : block_(std::move(block)), contained_output_(std::move(contained_output)) {}

  std::optional<Row> next() override {
    auto row = block_->next();
    if (row) contained_output_.take_off(*row, *block_);
    return row;
  }
  std::string position() const override { return block_->position(); }

 private:
  std::unique_ptr<RowReader> block_;
  ContainedOutput contained_output_;
};

class ContainedOutputBlocks final : public RowBlocks {
 public:
  ContainedOutputBlocks(std::unique_ptr<RowBlocks> blocks, ContainedOutput contained_output)
      : blocks_(std::move(blocks)), contained_output_(std::move(contained_output)) {}

  std::unique_ptr<RowReader> next() override {
    auto block = blocks_->next();
    if (block == nullptr) return nullptr;
    return std::make_unique<ContainedOutputBlock>(std::move(block), contained_output_);
  }
  double progress() const override { return blocks_->progress(); }

 private:
  std::unique_ptr<RowBlocks> blocks_;
  ContainedOutput contained_output_;
};

// What the first rows of a dataset show.
struct FirstRows {
  std::size_t outputs = 0;        // rows with an output
  std::size_t contained = 0;      // rows with an output that ends their input
  std::size_t empty_prompts = 0;  // rows of these of which nothing else is left
  std::set<std::string, std::less<>> different_outputs, different_prompts;
};

FirstRows examine_first_rows(const Dataset& dataset, std::string_view eos) {
  FirstRows found;
  const auto reader = dataset.open();
  for (std::size_t rows = 0; rows < kInspectedRows; ++rows) {
    const auto row = reader->next();
    if (!row) break;
    const auto output = without_end(row->model_output, eos);
    auto input = without_end(row->model_input, eos);
    if (output.empty()) continue;
    ++found.outputs;
    if (!input.ends_with(output)) continue;
    ++found.contained;
    input.remove_suffix(output.size());
    found.empty_prompts += is_blank(input) ? 1 : 0;
    found.different_outputs.emplace(output);
    found.different_prompts.emplace(input);
  }
  return found;
}

std::string text_of_eos(const Tokenizer& tokenizer) {
  return tokenizer.eos_id() ? tokenizer.token(*tokenizer.eos_id()) : "";
}

ContainedOutputs guess_contained_outputs(const std::vector<Dataset>& datasets, std::string_view eos) {
  std::set<std::string, std::less<>> outputs, prompts;
  const Dataset* with = nullptr;  // a dataset whose inputs end with their outputs
  const Dataset* without = nullptr;
  const Dataset* with_empty_prompts = nullptr;
  for (const Dataset& dataset : datasets) {
    FirstRows found = examine_first_rows(dataset, eos);
    if (found.outputs == 0) continue;
    (found.contained == found.outputs ? with : without) = &dataset;
    if (found.empty_prompts > 0) with_empty_prompts = &dataset;
    outputs.merge(found.different_outputs);
    prompts.merge(found.different_prompts);
  }
  if (with == nullptr) return ContainedOutputs::kAbsent;
  if (without != nullptr) {
    ask_for_key(with->name(), fmt::format("inputs that end with their outputs, unlike those of {}", without->name()));
  }
  if (with_empty_prompts != nullptr) {
    ask_for_key(with_empty_prompts->name(), "inputs that equal their outputs, as in a task of copying");
  }
  if (outputs.size() > 1 && prompts.size() == 1) {
    ask_for_key(with->name(), "inputs that end with their outputs, after the same text in all rows");
  }
  return ContainedOutputs::kPresentByGuess;
}

}  // namespace

ContainedOutputs find_contained_outputs(const std::vector<Dataset>& datasets, const Tokenizer& tokenizer,
                                        bool has_encoder) {
  if (datasets.empty()) return ContainedOutputs::kAbsent;
  const InputContainsOutput setting = datasets.front().input_contains_output();
  if (setting == InputContainsOutput::kYes) return ContainedOutputs::kPresent;
  if (setting == InputContainsOutput::kNo || has_encoder) return ContainedOutputs::kAbsent;
  return guess_contained_outputs(datasets, text_of_eos(tokenizer));
}

std::unique_ptr<RowBlocks> open_blocks_for_model(const Dataset& dataset, const Tokenizer& tokenizer,
                                                 ContainedOutputs contained_outputs) {
  if (contained_outputs == ContainedOutputs::kAbsent) return dataset.open_blocks();
  const bool guessed = contained_outputs == ContainedOutputs::kPresentByGuess;
  if (guessed) {
    spdlog::info(
        "{}: model_input ends with model_output in the first rows, as prompt2model writes them, and is used without "
        "it; input_contains_output: false would keep it",
        dataset.name());
  }
  return std::make_unique<ContainedOutputBlocks>(dataset.open_blocks(),
                                                 ContainedOutput(text_of_eos(tokenizer), guessed));
}

std::unique_ptr<RowReader> open_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder) {
  const auto contained_outputs = find_contained_outputs({dataset}, tokenizer, has_encoder);
  return read_blocks(open_blocks_for_model(dataset, tokenizer, contained_outputs));
}

}  // namespace lockstep::data
