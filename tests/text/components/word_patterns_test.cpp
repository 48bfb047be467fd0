#include "text/components/word_patterns.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include "lockstep/text/components/regular_expression.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

using testing::ElementsAre;

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::vector<std::string> words(WordMatcher matcher, std::string_view text) {
  std::vector<std::string> result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = matcher(text, begin);
    result.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return result;
}

TEST(WordPatterns, SplitAsTheirPatternsSay) {
  EXPECT_THAT(words(find_word_matcher(kGpt2), "it's 12  items\n\n"),
              ElementsAre("it", "'s", " 12", " ", " items", "\n\n"));
  EXPECT_THAT(words(find_word_matcher(kLlama3), "IT'S 1234  (items)\n \n x"),
              ElementsAre("IT", "'S", " ", "123", "4", " ", " (", "items", ")\n", " \n", " x"));
}

TEST(WordPatterns, OnlyTheExactPatternHasAMatcher) {
  EXPECT_EQ(find_word_matcher(std::string(kGpt2) + "|x"), nullptr);
  EXPECT_EQ(find_word_matcher(""), nullptr);
}

// Compares the hand-written matchers with the regex engine on every code point, surrounded by letters, digits, signs
// and blanks.
TEST(WordPatterns, AgreeWithTheRegexEngineOnEveryCodePoint) {
  for (const char* pattern : {kGpt2, kLlama3}) {
    const WordMatcher matcher = find_word_matcher(pattern);
    const Regex regex(pattern);
    for (char32_t c = 1; c < 0x110000; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      std::string text = "a'";
      append_utf8(c, text);
      text += "1";
      append_utf8(c, text);
      text += " ";
      append_utf8(c, text);
      text += "!\n";
      for (std::size_t begin = 0; begin < text.size();) {
        const auto match = regex.find(text, begin);
        ASSERT_TRUE(match && match->begin == begin) << std::hex << static_cast<std::uint32_t>(c);
        ASSERT_EQ(matcher(text, begin), match->end) << std::hex << static_cast<std::uint32_t>(c) << " at " << begin;
        begin = match->end;
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::text
