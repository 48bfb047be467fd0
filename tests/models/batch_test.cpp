#include "lockstep/models/batch.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

namespace lockstep::models {
namespace {

constexpr TokenId kStart = 7, kPad = 0;
constexpr std::int64_t kNone = kIgnoredLabel;

at::Tensor matrix(std::initializer_list<std::initializer_list<std::int64_t>> rows) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(at::tensor(std::vector<std::int64_t>(row), at::kLong));
  return at::stack(tensors);
}

TEST(Batch, EncoderDecoderTargetsAreShiftedBehindTheStart) {
  const std::vector<data::Example> examples = {{{1, 2, 3}, {4, 5}}, {{6}, {8, 9, 1}}};
  const std::vector<std::uint64_t> ids = {10, 11};
  const Batch batch = collate(examples, ids, true, kStart, kPad);
  EXPECT_TRUE(batch.input_ids.equal(matrix({{1, 2, 3}, {6, 0, 0}})));
  EXPECT_EQ(batch.inputs.offsets, (std::vector<std::int64_t>{0, 3, 4}));
  EXPECT_TRUE(batch.decoder_input_ids.equal(matrix({{7, 4, 0}, {7, 8, 9}})));
  EXPECT_TRUE(batch.labels.equal(matrix({{4, 5, kNone}, {8, 9, 1}})));
  EXPECT_TRUE(batch.labelled.equal(at::tensor({0, 1, 3, 4, 5}, at::kLong)));
  EXPECT_EQ(batch.example_ids, ids);
}

TEST(Batch, DecoderOnlyLabelsAreTheTargetAlone) {
  const std::vector<data::Example> examples = {{{1, 2, 3}, {4, 5}}, {{6}, {8}}};
  const Batch batch = collate(examples, std::vector<std::uint64_t>{0, 1}, false, 0, kPad);
  EXPECT_TRUE(batch.input_ids.equal(matrix({{1, 2, 3, 4, 5}, {6, 8, 0, 0, 0}})));
  EXPECT_EQ(batch.inputs.offsets, (std::vector<std::int64_t>{0, 5, 7}));
  EXPECT_EQ(batch.predictors.offsets, (std::vector<std::int64_t>{0, 4, 5}));
  EXPECT_TRUE(batch.predictors.places.equal(at::tensor({0, 1, 2, 3, 5}, at::kLong)));
  EXPECT_TRUE(batch.labels.equal(matrix({{kNone, kNone, 4, 5, kNone}, {8, kNone, kNone, kNone, kNone}})));
  EXPECT_TRUE(batch.labelled.equal(at::tensor({2, 3, 5}, at::kLong)));
}

TEST(Batch, NothingPredictsTheFirstTokenOfASequence) {
  const Batch batch = collate(std::vector<data::Example>{{{}, {4, 5}}}, std::vector<std::uint64_t>{0}, false, 0, kPad);
  EXPECT_TRUE(batch.labels.equal(matrix({{5, kNone}})));
}

TEST(Batch, WhatNoLabelDependsOnIsNoPredictor) {
  const std::vector<data::Example> examples = {{{}, {4, 5, 6}}, {{1, 2}, {}}, {{}, {8}}, {{}, {}}};
  const Batch batch = collate(examples, std::vector<std::uint64_t>{0, 1, 2, 3}, false, 0, kPad);
  EXPECT_EQ(batch.inputs.offsets, (std::vector<std::int64_t>{0, 3, 5, 6, 6}));
  EXPECT_EQ(batch.predictors.offsets, (std::vector<std::int64_t>{0, 2, 3, 4, 4}));
}

TEST(Batch, ATokenThatEqualsThePaddingIsStillALabel) {
  const Batch batch = collate(std::vector<data::Example>{{{1}, {kPad}}}, std::vector<std::uint64_t>{0}, false, 0, kPad);
  EXPECT_TRUE(batch.labels.equal(matrix({{kPad, kNone}})));
}

}  // namespace
}  // namespace lockstep::models
