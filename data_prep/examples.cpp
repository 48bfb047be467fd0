#include "data_prep/examples.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <utility>

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

constexpr std::string_view kShownBlank = "␣";

// Makes blanks at the ends of a text visible.
std::string with_visible_ends(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
  const std::size_t end = begin == text.size() ? begin : text.find_last_not_of(' ') + 1;
  std::string shown;
  for (std::size_t i = 0; i < begin; ++i) shown += kShownBlank;
  shown += text.substr(begin, end - begin);
  for (std::size_t i = end; i < text.size(); ++i) shown += kShownBlank;
  return shown;
}

std::string show(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  return shorten(with_visible_ends(printable(tokenizer.decode(ids, /*skip_special_tokens=*/false))));
}

// Characters that look like a blank or like nothing, in UTF-8.
constexpr auto kInvisible = std::to_array<std::pair<std::string_view, std::string_view>>({{"\u00a0", "\\u00a0"},
                                                                                          {"\u00ad", "\\u00ad"},
                                                                                          {"\u200b", "\\u200b"},
                                                                                          {"\u200c", "\\u200c"},
                                                                                          {"\u200d", "\\u200d"},
                                                                                          {"\u200e", "\\u200e"},
                                                                                          {"\u200f", "\\u200f"},
                                                                                          {"\u2028", "\\u2028"},
                                                                                          {"\u2029", "\\u2029"},
                                                                                          {"\u202f", "\\u202f"},
                                                                                          {"\u2060", "\\u2060"},
                                                                                          {"\u3000", "\\u3000"},
                                                                                          {"\ufeff", "\\ufeff"}});

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto invisible =
        std::ranges::find_if(kInvisible, [&](const auto& pair) { return text.substr(i).starts_with(pair.first); });
    if (invisible != kInvisible.end()) {
      shown += invisible->second;
      i += invisible->first.size() - 1;
    } else if (c == '\n') {
      shown += "\\n";
    } else if (c == '\t') {
      shown += "\\t";
    } else if (c == '\r') {
      shown += "\\r";
    } else if (c == '\\') {
      shown += "\\\\";
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
