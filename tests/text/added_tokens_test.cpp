#include "text/added_tokens.h"

#include <gmock/gmock.h>

namespace lockstep::text {
namespace {

using testing::ElementsAre;

// Returns the parts of the text in order, with tokens in angle brackets.
std::vector<std::string> split(std::string_view text, std::vector<AddedToken> tokens) {
  AddedTokens added;
  for (TokenId id = 0; id < tokens.size(); ++id) {
    tokens[id].id = id;
    added.add(tokens[id]);
  }
  std::vector<std::string> parts;
  AddedTokenFinder(added, false, nullptr)
      .split(
          text, [&](std::size_t begin, std::size_t end) { parts.emplace_back(text.substr(begin, end - begin)); },
          [&](const AddedToken& token) { parts.push_back("<" + token.content + ">"); });
  return parts;
}

TEST(AddedTokens, TheLongestOfThoseThatMatchWins) {
  EXPECT_THAT(split("xabcabx", {{.content = "ab"}, {.content = "abc"}}), ElementsAre("x", "<abc>", "<ab>", "x"));
}

TEST(AddedTokens, TheLastOfOneIdHasIt) {
  AddedTokens added;
  added.add({.content = "a", .id = 5});
  added.add({.content = "b", .id = 5});
  added.add({.content = "a", .id = 7});
  ASSERT_NE(added.find(TokenId{5}), nullptr);
  EXPECT_EQ(added.find(TokenId{5})->content, "b");
  ASSERT_NE(added.find(TokenId{7}), nullptr);
  EXPECT_EQ(added.find(TokenId{7})->content, "a");
}

TEST(AddedTokens, SwallowBlanksOnTheSidesThatTheyAskFor) {
  EXPECT_THAT(split("a  T  b", {{.content = "T", .lstrip = true}}), ElementsAre("a", "<T>", "  b"));
  EXPECT_THAT(split("a \u3000T\n\u00a0b", {{.content = "T", .lstrip = true, .rstrip = true}}),
              ElementsAre("a", "<T>", "b"));
}

TEST(AddedTokens, ASingleWordDoesNotTouchWordCharacters) {
  const AddedToken token{.content = "T", .single_word = true};
  EXPECT_THAT(split("T aT T_ (T)\u00e9T", {token}), ElementsAre("<T>", " aT T_ (", "<T>", ")\u00e9T"));
}

TEST(AddedTokens, BlanksThatWereSwallowedAreNoTokenAnyMore) {
  EXPECT_THAT(
      split("T\n\n\n\nx", {{.content = "T", .rstrip = true}, {.content = "\n\n", .lstrip = true, .rstrip = true}}),
      ElementsAre("<T>", "x"));
}

TEST(AddedTokens, ALaterTokenOfTheSameContentReplacesTheFirst) {
  AddedTokens added;
  added.add({.content = "a", .id = 1});
  added.add({.content = "a", .id = 2, .special = true});
  EXPECT_EQ(added.find(1), nullptr);
  EXPECT_TRUE(added.find("a")->special);
  EXPECT_EQ(added.end_id(), 3U);
}

}  // namespace
}  // namespace lockstep::text
