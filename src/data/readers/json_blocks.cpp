#include "data/readers/json_blocks.h"

#include <fmt/format.h>
#include <utility>

#include "data/readers/json_row_parser.h"

namespace lockstep::data {
namespace {

std::string position_of(const std::string& name, const std::string& unit, std::uint64_t number) {
  return fmt::format("{}: {} {}", name, unit, number);
}

}  // namespace

class JsonBlocks::Block final : public CellReader {
 public:
  Block(std::string name, std::vector<Column> columns, std::string unit)
      : name_(std::move(name)), unit_(unit), parser_(std::move(columns), std::move(unit)) {}

  void add(std::string_view row, std::uint64_t offset, std::uint64_t number) {
    text_ += row;
    rows_.push_back({text_.size(), offset, number});
  }
  std::size_t text_bytes() const { return text_.size(); }
  bool empty() const { return rows_.empty(); }

  bool next(Cells& cells) override {
    if (rows_read_ == rows_.size()) return false;
    const RowText& row = rows_[rows_read_++];
    const std::string_view text(text_.data() + begin_, row.end - begin_);
    begin_ = row.end;
    if (const auto problem = parser_.parse(text, row.offset, cells)) throw_problem(position(), *problem);
    return true;
  }
  std::string position() const override { return position_of(name_, unit_, rows_[rows_read_ - 1].number); }

 private:
  struct RowText {
    std::size_t end;       // in text_
    std::uint64_t offset;  // in the file
    std::uint64_t number;
  };

  std::string name_, unit_;
  JsonRowParser parser_;
  std::string text_;
  std::vector<RowText> rows_;
  std::size_t rows_read_ = 0;
  std::size_t begin_ = 0;  // offset of the next row in text_
};

JsonBlocks::JsonBlocks(const std::filesystem::path& path, std::vector<Column> columns, std::string unit)
    : name_(path.string()), columns_(std::move(columns)), unit_(std::move(unit)), text_(path) {}

JsonBlocks::~JsonBlocks() = default;

std::unique_ptr<CellReader> JsonBlocks::next() {
  if (problem_) std::rethrow_exception(problem_);
  block_ = std::make_unique<Block>(name_, columns_, unit_);
  try {
    while (block_->text_bytes() < kBlockBytes && find_row()) {
    }
  } catch (...) {
    problem_ = std::current_exception();
    if (block_->empty()) throw;
  }
  return block_->empty() ? nullptr : std::move(block_);
}

void JsonBlocks::add(std::string_view row, std::uint64_t number) { block_->add(row, text_.offset(), number); }

std::string JsonBlocks::position(std::uint64_t number) const { return position_of(name_, unit_, number); }

}  // namespace lockstep::data
