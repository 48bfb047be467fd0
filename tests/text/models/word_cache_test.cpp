#include "text/models/word_cache.h"

#include <gtest/gtest.h>
#include <string>

namespace lockstep::text {
namespace {

TEST(WordCache, EncodesAWordOnceUntilItIsFull) {
  WordCache cache;
  int encoded = 0;
  const auto ids_of = [&](const std::string& word) {
    std::vector<TokenId> ids{42};
    cache.append(word, ids, [&](std::string_view text, std::vector<TokenId>& out) {
      ++encoded;
      for (const char c : text) out.push_back(static_cast<unsigned char>(c));
    });
    return ids;
  };
  EXPECT_EQ(ids_of("ab"), (std::vector<TokenId>{42, 'a', 'b'}));
  EXPECT_EQ(ids_of("ab"), (std::vector<TokenId>{42, 'a', 'b'}));
  EXPECT_EQ(encoded, 1);
  for (int i = 0; i < 200'000; ++i) {
    const std::string word = std::to_string(i);
    ASSERT_EQ(ids_of(word).size(), word.size() + 1);
  }
  EXPECT_EQ(ids_of("ab"), (std::vector<TokenId>{42, 'a', 'b'}));
  EXPECT_EQ(encoded, 200'002);  // the cache was cleared in between because it was full
}

}  // namespace
}  // namespace lockstep::text
