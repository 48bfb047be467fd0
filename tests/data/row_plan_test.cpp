#include "lockstep/data/row_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>
#include <set>

namespace lockstep::data {
namespace {

Row numbered(int i) { return {fmt::format("in {}", i), fmt::format("out {}", i)}; }

TEST(RowHash, TellsTheTextsApart) {
  RowHasher hash;
  EXPECT_NE(hash({"a", "bc"}), hash({"ab", "c"}));
  EXPECT_NE(hash({"", "a"}), hash({"a", ""}));
  EXPECT_EQ(hash({"a", "bc"}), hash({"a", "bc"}));
}

TEST(RowHash, IsTheBeginningOfASha256) {
  // printf '\1\0\0\0\0\0\0\0abc' | sha256sum
  EXPECT_EQ(fmt::format("{:016x}{:016x}", RowHasher()({"a", "bc"}).high, RowHasher()({"a", "bc"}).low),
            core::sha256(std::string("\1\0\0\0\0\0\0\0abc", 11)).substr(0, 32));
}

TEST(RowHashSet, HoldsWhatASetHolds) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  RowHashSet hashes;
  std::set<std::pair<std::uint64_t, std::uint64_t>> expected;
  for (int i = 0; i < 20000; ++i) {
    // Few values, so that many hashes are equal and many share a slot.
    const RowHash hash{random() % 3, (random() % 50) << 20 | random() % 200};
    EXPECT_EQ(hashes.insert(hash), expected.insert({hash.high, hash.low}).second);
  }
  EXPECT_TRUE(hashes.insert({7, 7}));
  EXPECT_FALSE(hashes.insert({7, 7}));
}

RowPlan::Place place(RowPlan& plan, const Row& row) {
  return plan.place(RowHasher()(row), row.model_input.size() + row.model_output.size());
}

TEST(RowPlan, SplitsByTheRowAlone) {
  const RowSelection training{false, 0.25, RowSelection::Part::kTraining};
  const RowSelection validation{false, 0.25, RowSelection::Part::kValidation};
  RowPlan train(training, 1000), validate(validation, 1000), later(validation, 1000);
  std::set<int> held_out;
  for (int i = 0; i < 8000; ++i) {
    const bool in_training = place(train, numbered(i)).in_set;
    const bool in_validation = place(validate, numbered(i)).in_set;
    EXPECT_NE(in_training, in_validation);
    if (in_validation) held_out.insert(i);
  }
  EXPECT_NEAR(static_cast<double>(held_out.size()), 2000, 4 * 39);  // four standard deviations
  for (int i = 7999; i >= 0; i -= 2) EXPECT_EQ(place(later, numbered(i)).in_set, held_out.contains(i));
}

TEST(RowPlan, GivesEachShardItsText) {
  RowPlan plan({}, 3 * 16 + 10);
  const auto shard = [&](const char* input, const char* output) { return place(plan, {input, output}).shard.value(); };
  EXPECT_EQ(shard("12345", "123"), 0U);
  EXPECT_EQ(shard("", "12"), 0U);
  EXPECT_EQ(shard("", ""), 0U);
  EXPECT_EQ(shard("1", ""), 1U);
  EXPECT_EQ(shard("longer than a shard", "by itself"), 2U);
  EXPECT_EQ(shard("1", "2"), 3U);
}

TEST(RowPlan, LeavesDuplicatesOutOfTheText) {
  RowPlan plan({.deduplicate = true}, 2 * 16 + 4);
  EXPECT_EQ(place(plan, {"ab", ""}).shard, 0U);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(place(plan, {"ab", ""}).shard.has_value());
  EXPECT_EQ(place(plan, {"", "ab"}).shard, 0U);
  EXPECT_EQ(plan.compared_rows(), 7U);
}

}  // namespace
}  // namespace lockstep::data
