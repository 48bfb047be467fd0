#pragma once

#include <gtest/gtest.h>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/data/dataset.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::test {

/// A temporary folder that the destructor removes.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lockstep-data-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    core::write_file(path_ / name, bytes);
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// A tokenizer with one token per byte: id = byte + 3; BOS is 1, EOS is 2. The byte '~' becomes a token id far beyond
/// the vocabulary.
class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr TokenId kBos = 1, kEos = 2, kFar = 70000;

  explicit ByteTokenizer(bool adds_bos = false) {
    settings_.bos = kBos;
    settings_.eos = kEos;
    settings_.pad = kEos;
    if (adds_bos) settings_.ids_before = {kBos};
    settings_.digest = std::string(64, 'd');
  }
  void set_model_max_length(std::size_t length) { settings_.model_max_length = length; }
  void set_frame(std::vector<TokenId> before, std::vector<TokenId> after) {
    settings_.ids_before = std::move(before);
    settings_.ids_after = std::move(after);
  }
  void remove_eos() { settings_.eos.reset(); }

  using Tokenizer::encode;
  void encode(std::string_view text, std::vector<TokenId>& ids) const override {
    for (const char c : text) ids.push_back(c == '~' ? kFar : static_cast<unsigned char>(c) + 3U);
  }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const TokenId id : ids) text += id < 3 ? '|' : static_cast<char>(id - 3);
    return text;
  }
  std::string token(TokenId id) const override { return std::to_string(id); }
  std::size_t vocabulary_size() const override { return 259; }
};

inline std::vector<TokenId> bytes(const std::string& text) {
  std::vector<TokenId> ids;
  ByteTokenizer().encode(text, ids);
  return ids;
}

inline std::vector<data::Row> read_all(const Dataset& dataset) {
  std::vector<data::Row> rows;
  const auto reader = dataset.open();
  while (auto row = reader->next()) rows.push_back(*row);
  return rows;
}

/// Returns the message of the InputError that `action` throws. Fails the test if it throws none.
template <typename Action>
std::string input_error(Action action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an InputError";
  return "";
}

}  // namespace lockstep::test
