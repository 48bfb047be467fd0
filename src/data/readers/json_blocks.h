#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/readers/cell_reader.h"
#include "data/readers/text_source.h"

namespace lockstep::data {

/// Cuts a file into the texts of its rows, each a JSON object, and leaves parsing them to its blocks.
class JsonBlocks : public CellBlocks {
 public:
  /// `unit` is what the place of a row is counted in, for messages: "line" or "row".
  JsonBlocks(const std::filesystem::path& path, std::vector<Column> columns, std::string unit);
  ~JsonBlocks() override;

  std::unique_ptr<CellReader> next() final;
  double progress() const final { return text_.progress(); }

 protected:
  /// Finds the next row in text(), gives it to add() and consumes it; false at the end.
  virtual bool find_row() = 0;

  /// `row` is the `number`-th (from 1) of the file, and begins text().unread().
  void add(std::string_view row, std::uint64_t number);
  TextWindow& text() { return text_; }
  const std::string& name() const { return name_; }
  std::string position(std::uint64_t number) const;

 private:
  class Block;

  std::string name_;
  std::vector<Column> columns_;
  std::string unit_;
  TextWindow text_;
  std::unique_ptr<Block> block_;
  std::exception_ptr problem_;  // behind the rows given last
};

}  // namespace lockstep::data
