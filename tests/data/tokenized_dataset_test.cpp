#include "lockstep/data/tokenized_dataset.h"

#include <gmock/gmock.h>
#include <memory>
#include <set>

#include "lockstep/data/split.h"

namespace lockstep::data {
namespace {

std::shared_ptr<const TokenizedDataset> in_memory(std::vector<Example> examples) {
  return std::make_shared<InMemoryTokenizedDataset>(std::move(examples), false, "digest");
}

TEST(TokenizedDataset, ContentDigestTellsExamplesTheirOrderAndTheirBordersApart) {
  const std::vector<Example> examples = {{{1, 2}, {3}}, {{4}, {5}}};
  EXPECT_EQ(in_memory(examples)->content_digest(), in_memory(examples)->content_digest());
  std::set<std::string> digests = {in_memory(examples)->content_digest()};
  EXPECT_TRUE(digests.insert(in_memory({{{4}, {5}}, {{1, 2}, {3}}})->content_digest()).second);
  EXPECT_TRUE(digests.insert(in_memory({{{1}, {2, 3}}, {{4}, {5}}})->content_digest()).second);
  EXPECT_TRUE(digests.insert(in_memory({{{1, 2}, {3, 4}}, {{}, {5}}})->content_digest()).second);
  EXPECT_TRUE(digests.insert(in_memory({{{1, 2}, {3}}, {{4}, {6}}})->content_digest()).second);
}

TEST(TokenizedDataset, ASubsetHasADigestOfItsOwnAndKnowsThePlacesInTheWhole) {
  const auto whole = in_memory({{{1}, {1}}, {{2}, {2}}, {{3}, {3}}});
  const auto subset = std::make_shared<SubsetDataset>(whole, std::vector<std::uint64_t>{2, 0});
  EXPECT_NE(subset->content_digest(), whole->content_digest());
  EXPECT_EQ(subset->content_digest(), SubsetDataset(whole, {2, 0}).content_digest());
  EXPECT_NE(subset->content_digest(), SubsetDataset(whole, {2, 1}).content_digest());
  EXPECT_EQ(subset->place_in_set(0), 2U);
  EXPECT_EQ(SubsetDataset(subset, {1}).place_in_set(0), 0U);
  EXPECT_EQ(SubsetDataset(subset, {0}).place_in_set(0), 2U);
}

}  // namespace
}  // namespace lockstep::data
