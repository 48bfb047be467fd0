#include "lockstep/text/components/text_pattern.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"
#include "lockstep/text/components/regular_expression.h"
#include "text/components/word_patterns.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

class Literal final : public TextPattern {
 public:
  explicit Literal(std::string text) : text_(std::move(text)) {}

  std::optional<TextRange> find(std::string_view text, std::size_t from) const override {
    const std::size_t found = text.find(text_, from);
    if (found == std::string_view::npos) return std::nullopt;
    return TextRange{found, found + text_.size()};
  }

 private:
  std::string text_;
};

class WordPattern final : public TextPattern {
 public:
  explicit WordPattern(WordMatcher match) : match_(match) {}

  std::optional<TextRange> find(std::string_view text, std::size_t from) const override {
    for (; from < text.size(); ++from) {
      if (is_continuation_byte(text[from])) continue;
      const std::size_t end = match_(text, from);
      if (end != kNoWord) return TextRange{from, end};
    }
    return std::nullopt;
  }

 private:
  WordMatcher match_;
};

}  // namespace

std::unique_ptr<const TextPattern> make_text_pattern(const Json& json) {
  if (json.is_object() && json.contains("String")) {
    return std::make_unique<Literal>(json.at("String").get<std::string>());
  }
  if (!json.is_object() || !json.contains("Regex")) {
    throw InputError(fmt::format("the pattern {} is not supported (\"String\" and \"Regex\" are)", json.dump()));
  }
  const auto regex = json.at("Regex").get<std::string>();
  if (const WordMatcher matcher = find_word_matcher(regex)) return std::make_unique<WordPattern>(matcher);
  return std::make_unique<Regex>(regex);
}

std::string read_character(const Json& component, const char* key) {
  auto text = component.at(key).get<std::string>();
  if (is_one_character(text)) return text;
  throw InputError(fmt::format("{}: {}: expected one character, found '{}'", component.value("type", ""), key, text));
}

}  // namespace lockstep::text
