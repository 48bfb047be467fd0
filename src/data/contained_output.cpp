#include "lockstep/data/contained_output.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
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

// Removes model_output from the end of model_input.
class ContainedOutput {
 public:
  ContainedOutput(std::string eos, bool automatic) : eos_(std::move(eos)), automatic_(automatic) {}

  // Removes the output from `row`, the last row of `reader`. Throws InputError if the row does not end with its output.
  void take_off(Row& row, const RowReader& reader) const {
    const auto output = without_end(row.model_output, eos_);
    if (output.empty()) return;
    const auto input = without_end(row.model_input, eos_);
    if (!input.ends_with(output)) {
      throw InputError(fmt::format(
          "{}: expected model_input to end with model_output, {}, found another end; correct the row, or set "
          "input_contains_output: false",
          reader.position(),
          automatic_ ? "as in the first rows of the dataset" : "as input_contains_output: true says"));
    }
    row.model_input.resize(input.size() - output.size());
    row.model_output.resize(output.size());
  }

 private:
  std::string eos_;
  bool automatic_;
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

bool first_rows_contain_output(const Dataset& dataset, std::string_view eos) {
  const auto reader = dataset.open();
  std::size_t rows = 0, outputs = 0, contained = 0;
  for (; rows < kInspectedRows; ++rows) {
    const auto row = reader->next();
    if (!row) break;
    const auto output = without_end(row->model_output, eos);
    const auto input = without_end(row->model_input, eos);
    outputs += output.empty() ? 0 : 1;
    contained += !output.empty() && input.size() > output.size() && input.ends_with(output) ? 1 : 0;
  }
  if (outputs == 0 || contained < outputs) return false;
  spdlog::info(
      "{}: model_input ends with model_output in the first {} rows, as prompt2model writes them, and is used without "
      "it; input_contains_output: false would keep it",
      dataset.name(), rows);
  return true;
}

}  // namespace

std::unique_ptr<RowBlocks> open_blocks_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder) {
  const InputContainsOutput setting = dataset.input_contains_output();
  const bool automatic = setting == InputContainsOutput::kAuto;
  const bool never = setting == InputContainsOutput::kNo || (automatic && has_encoder);
  const std::string eos = tokenizer.eos_id() ? tokenizer.token(*tokenizer.eos_id()) : "";
  if (never || (automatic && !first_rows_contain_output(dataset, eos))) return dataset.open_blocks();
  return std::make_unique<ContainedOutputBlocks>(dataset.open_blocks(), ContainedOutput(eos, automatic));
}

std::unique_ptr<RowReader> open_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder) {
  return read_blocks(open_blocks_for_model(dataset, tokenizer, has_encoder));
}

}  // namespace lockstep::data
