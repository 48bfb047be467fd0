#include "lockstep/data/contained_output.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <deque>
#include <string_view>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

std::string_view without_end(std::string_view text, std::string_view end) {
  if (!end.empty() && text.ends_with(end)) text.remove_suffix(end.size());
  return text;
}

class ContainedOutputReader final : public RowReader {
 public:
  ContainedOutputReader(std::unique_ptr<RowReader> reader, bool automatic, std::string name, std::string eos)
      : reader_(std::move(reader)), automatic_(automatic), name_(std::move(name)), eos_(std::move(eos)) {
    if (automatic) inspect();
  }

  std::optional<Row> next() override {
    std::optional<Row> row;
    if (inspected_.empty()) {
      position_.reset();
      row = reader_->next();
    } else {
      position_ = std::move(inspected_.front().position);
      row = std::move(inspected_.front().row);
      inspected_.pop_front();
    }
    if (row && contained_) take_off(*row);
    return row;
  }
  std::string position() const override { return position_ ? *position_ : reader_->position(); }
  double progress() const override { return reader_->progress(); }

 private:
  struct InspectedRow {
    Row row;
    std::string position;
  };

  void inspect() {
    std::size_t outputs = 0, contained = 0;
    while (inspected_.size() < kInspectedRows) {
      auto row = reader_->next();
      if (!row) break;
      const auto output = without_end(row->model_output, eos_);
      const auto input = without_end(row->model_input, eos_);
      outputs += output.empty() ? 0 : 1;
      contained += !output.empty() && input.size() > output.size() && input.ends_with(output) ? 1 : 0;
      inspected_.push_back({std::move(*row), reader_->position()});
    }
    contained_ = outputs > 0 && contained == outputs;
    if (!contained_) return;
    spdlog::info(
        "{}: model_input ends with model_output in the first {} rows, as prompt2model writes them, and is used "
        "without it; input_contains_output: false would leave it there",
        name_, inspected_.size());
  }

  void take_off(Row& row) const {
    const auto output = without_end(row.model_output, eos_);
    if (output.empty()) return;
    const auto input = without_end(row.model_input, eos_);
    if (!input.ends_with(output)) {
      throw InputError(fmt::format(
          "{}: expected model_input to end with model_output, {}, found another end; correct the row, or set "
          "input_contains_output: false",
          position(), automatic_ ? "as in the first rows of the dataset" : "as input_contains_output: true says"));
    }
    row.model_input.resize(input.size() - output.size());
    row.model_output.resize(output.size());
  }

  std::unique_ptr<RowReader> reader_;
  bool automatic_;
  std::string name_;
  std::string eos_;
  bool contained_ = true;
  std::deque<InspectedRow> inspected_;
  std::optional<std::string> position_;  // of the last row, if it was an inspected one
};

}  // namespace

std::unique_ptr<RowReader> open_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder) {
  auto reader = dataset.open();
  const InputContainsOutput setting = dataset.input_contains_output();
  const bool automatic = setting == InputContainsOutput::automatic;
  if (setting == InputContainsOutput::no || (automatic && has_encoder)) return reader;
  return std::make_unique<ContainedOutputReader>(std::move(reader), automatic, dataset.name(),
                                                 tokenizer.eos_id() ? tokenizer.token(*tokenizer.eos_id()) : "");
}

}  // namespace lockstep
