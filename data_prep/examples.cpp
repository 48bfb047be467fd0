#include "data_prep/examples.h"

#include <fmt/format.h>
#include <algorithm>

namespace lockstep::data_prep {
namespace {

constexpr std::size_t kMaxShownBytes = 600;  // per text

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Replaces the middle of a long text with "[...]".
std::string shorten(const std::string& text) {
  if (text.size() <= kMaxShownBytes) return text;
  std::size_t head = kMaxShownBytes / 2;
  while (head > 0 && continues_character(text[head])) --head;
  std::size_t tail = text.size() - kMaxShownBytes / 2;
  while (tail < text.size() && continues_character(text[tail])) ++tail;
  return fmt::format("{} [...] {}", text.substr(0, head), text.substr(tail));
}

std::string show(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  return shorten(printable(tokenizer.decode(ids, /*skip_special_tokens=*/false)));
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    if (c == '\n') {
      shown += "\\n";
    } else if (c == '\t') {
      shown += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      shown += c;
    }
  }
  return shown;
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !continues_character(c); }));
}

std::string format_example(const data::PreparedDataset& dataset, std::uint64_t index, const Tokenizer& tokenizer) {
  const data::Example example = dataset.read(index);
  std::string text = fmt::format("example {} ({} + {} tokens, the label between « and »):\n  ", index + 1,
                                 example.input.size(), example.target.size());
  text += show(tokenizer, example.input);
  if (dataset.has_encoder()) text += "\n  ";  // an encoder-decoder example is two sequences
  text += fmt::format("«{}»\n", show(tokenizer, example.target));
  return text;
}

}  // namespace lockstep::data_prep
