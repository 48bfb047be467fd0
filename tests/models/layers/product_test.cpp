#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>

#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/layers/mixed_precision.h"
#include "models/small_models.h"

namespace lockstep::models {
namespace {

constexpr std::array<std::uint64_t, 3> kExampleIds = {4, 7, 2};

void run_backward(LanguageModel& model, Pass pass = {}) {
  const std::vector<data::Example> examples = {{{3, 4, 5}, {6, 7}}, {{8}, {9, 10, 11, 1}}, {{2, 3, 4, 5, 6, 7}, {1}}};
  const Batch batch = collate(examples, kExampleIds, model.info().has_encoder, model.info().decoder_start_id, 0);
  pass.dropout = Dropout(5, 6, kExampleIds);
  (model.loss_sum(batch, pass) * 0.3).backward();
}

void fill_gradients(LanguageModel& model, double value) {
  for (at::Tensor& parameter : model.parameters()) {
    if (parameter.requires_grad()) parameter.mutable_grad() = at::full_like(parameter, value);
  }
}

void expect_same_gradients(LanguageModel& found, LanguageModel& expected) {
  const auto all = expected.named_parameters();
  for (const auto& parameter : found.named_parameters()) {
    const at::Tensor &gradient = parameter.value().grad(), &wanted = all[parameter.key()].grad();
    ASSERT_EQ(gradient.defined(), wanted.defined()) << parameter.key();
    EXPECT_TRUE(!gradient.defined() || gradient.allclose(wanted, 1e-5, 1e-6)) << parameter.key();
  }
}

class InPlace : public testing::TestWithParam<const char*> {};

TEST_P(InPlace, GradientsAreAddedToThoseThatAreThere) {
  const auto expected = test::model_of(GetParam()), model = test::model_of(GetParam());
  fill_gradients(*expected, 2);
  fill_gradients(*model, 2);
  for (int pass = 0; pass < 2; ++pass) {
    run_backward(*expected);
    run_backward(*model, {.adds_gradients_in_place = true});
  }
  expect_same_gradients(*model, *expected);
}

TEST_P(InPlace, GradientsAreMadeWhereThereAreNone) {
  const auto expected = test::model_of(GetParam()), model = test::model_of(GetParam());
  run_backward(*expected);
  run_backward(*model, {.adds_gradients_in_place = true});
  expect_same_gradients(*model, *expected);
}

TEST_P(InPlace, FrozenParametersHaveNone) {
  const auto expected = test::model_of(GetParam()), model = test::model_of(GetParam());
  for (const auto& with_adapter : {expected, model}) add_lora(*with_adapter, {.rank = 2}, 1);
  run_backward(*expected);
  run_backward(*model, {.adds_gradients_in_place = true});
  expect_same_gradients(*model, *expected);
}

TEST_P(InPlace, GradientsOfMixedPrecisionAreAddedToo) {
  const auto expected = test::model_of(GetParam()), model = test::model_of(GetParam());
  fill_gradients(*expected, 0.5);
  fill_gradients(*model, 0.5);
  RoundedWeights of_expected, of_model;
  run_backward(*expected, {.rounded_weights = &of_expected});
  run_backward(*model, {.rounded_weights = &of_model, .adds_gradients_in_place = true});
  expect_same_gradients(*model, *expected);
}

INSTANTIATE_TEST_SUITE_P(, InPlace, testing::ValuesIn(test::kSmallConfigs));

}  // namespace
}  // namespace lockstep::models
