#include "lockstep/models/layers/packed_rows.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

namespace lockstep::models {
namespace {

const PackedRows kRows(std::vector<std::int64_t>{2, 3, 0, 1});

TEST(PackedRows, SayWhereTokensAre) {
  EXPECT_EQ(kRows.rows(), 4);
  EXPECT_EQ(kRows.tokens(), 6);
  EXPECT_EQ(kRows.length, 3);
  EXPECT_TRUE(kRows.has_padding());
  EXPECT_TRUE(kRows.places.equal(torch::tensor({0, 1, 3, 4, 5, 9}, torch::kLong)));
  EXPECT_TRUE(kRows.positions().equal(torch::tensor({0, 1, 0, 1, 2, 0}, torch::kLong)));
}

TEST(PackedRows, FirstTokensStayWhereTheyAre) {
  const PackedRows first = kRows.first(std::vector<std::int64_t>{2, 1, 0, 1});
  EXPECT_EQ(first.length, 3);
  EXPECT_TRUE(first.has_padding());
  EXPECT_TRUE(first.places.equal(torch::tensor({0, 1, 3, 9}, torch::kLong)));
  EXPECT_TRUE(first.positions().equal(torch::tensor({0, 1, 0, 0}, torch::kLong)));
}

TEST(PackedRows, ArePaddedWithZerosAndPackedAgain) {
  const at::Tensor packed = torch::randn({6, 2}, torch::requires_grad());
  const at::Tensor padded = kRows.pad(packed);
  EXPECT_EQ(padded.sizes(), (std::vector<std::int64_t>{4, 3, 2}));
  EXPECT_TRUE(padded[0][1].equal(packed[1]));
  EXPECT_TRUE(padded[3][0].equal(packed[5]));
  EXPECT_TRUE(padded[2].eq(0).all().item<bool>());
  EXPECT_TRUE(kRows.pack(padded).equal(packed));
  const at::Tensor weight = torch::randn({4, 3, 2});
  (padded * weight).sum().backward();
  EXPECT_TRUE(packed.grad().equal(kRows.pack(weight)));
}

TEST(PackedRows, HideWhatIsBehindThem) {
  const at::Tensor bias = kRows.padding_bias();
  EXPECT_EQ(bias.sizes(), (std::vector<std::int64_t>{4, 1, 1, 3}));
  const std::vector<double> shown = {1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0};
  EXPECT_TRUE(bias.flatten().exp().equal(torch::tensor(shown).to(at::kFloat)));
}

TEST(PackedRows, OfOneLengthAreNoCopy) {
  const PackedRows rows(std::vector<std::int64_t>{2, 2});
  const at::Tensor packed = torch::randn({4, 3});
  EXPECT_FALSE(rows.has_padding());
  EXPECT_TRUE(rows.pad(packed).is_alias_of(packed));
  EXPECT_TRUE(rows.pack(rows.pad(packed)).is_alias_of(packed));
}

}  // namespace
}  // namespace lockstep::models
