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

/// Splits a file into the texts of its rows, each a JSON object. Parsing them is left to the blocks.
class JsonBlocks : public CellBlocks {
 public:
  /// `unit` is what row numbers count, for messages: "line" or "row".
  JsonBlocks(const std::filesystem::path& path, std::vector<Column> columns, std::string unit);
  ~JsonBlocks() override;

  std::unique_ptr<CellReader> next() final;
  double progress() const final { return text_.progress(); }

 protected:
  /// Finds the next row in text(), passes it to add() and consumes it. Returns false at the end.
  virtual bool find_row() = 0;

  /// Adds a row to the current block. `row` is at the start of text().unread(); `number` is its number in the file,
  /// from 1.
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
  std::exception_ptr problem_;  // thrown by next() once the rows before it have been returned
};

}  // namespace lockstep::data
