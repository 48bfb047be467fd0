#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <torch/torch.h>

#include <array>
#include <optional>
#include <span>

#include "data/fixtures.h"
#include "lockstep/evaluation/evaluator.h"
#include "lockstep/generation/decoding.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/layers/layer_observer.h"
#include "lockstep/models/layers/mixed_precision.h"
#include "models/family_configs.h"
#include "models/layers/attention.h"
#include "models/small_models.h"
#include "models/stand_in_device.h"

// Tests models on a device other than the host. The stand-in uses the host's kernels, so results must be bit-identical;
// it rejects a tensor that the code under test creates on the host by mistake.
namespace lockstep::models {
namespace {

using test::TemporaryFolder;

class NoTokenizer final : public Tokenizer {
 public:
  void encode(std::string_view, std::vector<TokenId>&) const override {}
  std::string decode(std::span<const TokenId>, bool) const override { return {}; }
  std::string token(TokenId) const override { return {}; }
  std::size_t vocabulary_size() const override { return 0; }
};

std::shared_ptr<LanguageModel> make_model(const std::string& config, at::Device device) {
  auto model = test::model_of(config);
  model->to(device);
  return model;
}

constexpr std::array<std::uint64_t, 3> kIds = {4, 7, 2};

std::vector<data::Example> make_examples() {
  return {{{3, 4, 5}, {6, 7}}, {{8}, {9, 10, 11, 1}}, {{2, 3, 4, 5, 6, 7}, {1}}};
}

// Returns examples in which every token except the last of each row has a label.
std::vector<data::Example> make_learned_examples() { return {{{8}, {9, 10, 1}}, {{3}, {4}}, {{5}, {6, 7}}}; }

Batch make_batch(const LanguageModel& model, const std::vector<data::Example>& examples) {
  return collate(examples, kIds, model.info().has_encoder, model.info().decoder_start_id, 0);
}

using Named = std::vector<std::pair<std::string, at::Tensor>>;

// Returns the loss, the losses of rows, the logits and the gradients, copied to the host.
Named values_of(LanguageModel& model, const std::vector<data::Example>& examples = make_examples(), Pass pass = {}) {
  model.zero_grad();
  const Batch batch = make_batch(model, examples).to(model.device());
  pass.noise = EmbeddingNoise(5, 5, 6, kIds);
  pass.dropout = Dropout(5, 6, kIds);
  const at::Tensor loss = model.loss_sum(batch, pass);
  loss.backward();
  Pass plain;
  Named values = {{"loss", loss}, {"rows", model.row_loss_sums(batch, plain)}, {"logits", model.logits(batch, plain)}};
  for (const auto& parameter : model.named_parameters()) {
    if (parameter.value().requires_grad()) values.emplace_back(parameter.key(), parameter.value().grad());
  }
  for (auto& [name, value] : values) {
    if (value.defined()) {
      EXPECT_EQ(value.device(), model.device()) << name;
      value = value.detach().cpu();
    }
  }
  return values;
}

void expect_equal(const Named& found, const Named& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& [name, value] = found[i];
    ASSERT_EQ(value.defined(), expected[i].second.defined()) << name;
    EXPECT_TRUE(!value.defined() || value.allclose(expected[i].second, 1e-5, 1e-6)) << name;
  }
}

class ModelsOn : public testing::TestWithParam<const char*> {};

TEST_P(ModelsOn, AnotherDeviceComputeWhatTheHostDoes) {
  const auto host = make_model(GetParam(), at::kCPU), device = make_model(GetParam(), kStandInDevice);
  ASSERT_EQ(device->device(), kStandInDevice);
  for (const auto& examples : {make_examples(), make_learned_examples()}) {
    expect_equal(values_of(*device, examples), values_of(*host, examples));
  }
}

TEST_P(ModelsOn, AnotherDeviceGenerateWhatTheHostDoes) {
  const auto host = make_model(GetParam(), at::kCPU), device = make_model(GetParam(), kStandInDevice);
  const std::vector<std::vector<TokenId>> prompts = {{3, 4, 5}, {6}, {7, 8}};
  const GenerationOptions options{.max_new_tokens = 6, .batch_size = 3};
  const auto expected = generation::generate_ids(*host, NoTokenizer(), prompts, options);
  const auto found = generation::generate_ids(*device, NoTokenizer(), prompts, options);
  for (std::size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(found[i].ids, expected[i].ids);
}

TEST_P(ModelsOn, AnotherDeviceEvaluateToWhatTheHostDoes) {
  const auto host = make_model(GetParam(), at::kCPU), device = make_model(GetParam(), kStandInDevice);
  const data::InMemoryTokenizedDataset rows(make_examples(), host->info().has_encoder, "");
  const auto alone = make_communicator();
  const auto expected = evaluation::evaluate_rows(*host, rows, 2, 0, *alone).value();
  const auto found = evaluation::evaluate_rows(*device, rows, 2, 0, *alone).value();
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_NEAR(found[i].loss_sum, expected[i].loss_sum, 1e-4);
}

TEST_P(ModelsOn, AnotherDeviceAreNotWaitedForInAPass) {
  const auto device = make_model(GetParam(), kStandInDevice);
  const Batch batch = make_batch(*device, make_examples()).to(kStandInDevice);
  Pass pass{.dropout = Dropout(5, 6, kIds),
            .noise = EmbeddingNoise(5, 5, 6, kIds),
            .adds_gradients_in_place = true,
            .loss_scale = 0.5};
  const std::size_t before = reads_of_stand_in_device();
  const at::Tensor loss = device->loss_sum(batch, pass);
  (loss * 0.5).backward();
  EXPECT_EQ(reads_of_stand_in_device(), before);
  EXPECT_GT(loss.item<double>(), 0);
  EXPECT_EQ(reads_of_stand_in_device(), before + 1);
}

// Autograd runs the backward of a device in a separate thread.
TEST_P(ModelsOn, AnotherDeviceRecomputeLayersAsTheyWereComputed) {
  const auto device = make_model(GetParam(), kStandInDevice);
  const auto values = [&](bool recomputes) {
    RoundedWeights rounded;
    return values_of(*device, make_examples(), {.rounded_weights = &rounded, .recomputes_layers = recomputes});
  };
  expect_equal(values(true), values(false));
}

INSTANTIATE_TEST_SUITE_P(, ModelsOn, testing::ValuesIn(test::kFamilyConfigs));

TEST(LayerOnADevice, IsRecomputedWithThePassOfItsForward) {
  using Seen = std::pair<RoundedWeights*, bool>;
  std::vector<Seen> seen;
  const auto layer = [&](const std::vector<at::Tensor>& inputs, Pass& pass) {
    seen.emplace_back(pass.rounded_weights, pass.adds_gradients_in_place);
    return inputs[0] * 2;
  };
  RoundedWeights rounded;
  for (const bool in_place : {false, true}) {
    Pass pass{.rounded_weights = &rounded, .adds_gradients_in_place = in_place, .recomputes_layers = true};
    const at::Tensor x = at::ones({3}, at::TensorOptions(kStandInDevice)).requires_grad_();
    run_layer(pass, 0, {x}, layer).sum().backward();
  }
  using testing::ElementsAre;
  EXPECT_THAT(seen,
              ElementsAre(Seen(&rounded, false), Seen(&rounded, false), Seen(&rounded, true), Seen(&rounded, true)));
}

TEST(AttentionOnADevice, MultipliesRoundedNumbersWhereLinearLayersDo) {
  const at::Generator generator = at::detail::createCPUGenerator(1);
  const auto make = [&](at::IntArrayRef shape) {
    return at::randn(shape, generator).to(kStandInDevice).requires_grad_();
  };
  const at::Tensor query = make({2, 4, 5, 8}), key = make({2, 2, 5, 8}), value = make({2, 2, 5, 8});
  const at::Tensor learned = make({4, 9}), grad_output = at::randn({2, 5, 32}, generator).to(kStandInDevice);
  const auto values = [&](const AttentionOptions& options, RoundedWeights* rounded) {
    Pass pass{.rounded_weights = rounded, .dropout = Dropout(5, 6, std::span(kIds).first(2))};
    const at::Tensor y = attend(query, key, value, options, pass);
    std::vector<at::Tensor> found = {y};
    for (const at::Tensor& gradient : torch::autograd::grad({y}, {query, key, value}, {grad_output}))
      found.push_back(gradient);
    return found;
  };
  RoundedWeights bf16;
  for (const AttentionOptions& options :
       {AttentionOptions{.scale = 0.3, .causal = true}, AttentionOptions{.scale = 0.3, .causal = true, .window = 2},
        AttentionOptions{.scale = 0.3, .distance_bias = learned},
        AttentionOptions{.scale = 0.3, .soft_cap = 2, .causal = true},
        AttentionOptions{.scale = 0.3, .dropout = 0.5}}) {
    const auto found = values(options, &bf16), expected = values(options, nullptr);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(found[i].scalar_type(), at::kFloat);
      const double largest = expected[i].abs().max().item<double>();
      const double error = (found[i] - expected[i]).abs().max().item<double>();
      EXPECT_LT(error, largest / 64) << i;  // the significand of bf16 has 8 bits
      EXPECT_GT(error, largest / 1e5) << i;
    }
  }
}

TEST(ModelOnADevice, TrainsAnAdapterAndSavesWhatTheHostDoes) {
  const std::string config = test::kFamilyConfigs[3];
  Named written[2];
  for (const at::Device device : {at::Device(at::kCPU), kStandInDevice}) {
    const auto model = make_model(config, device);
    add_lora(*model, {.rank = 2, .dropout = 0.3}, 1);
    const Named values = values_of(*model);
    const test::TemporaryFolder folder;
    save_adapter(*model, folder.path());
    merge_adapter(*model);
    save_model(*model, folder.path());
    auto& all = written[device == kStandInDevice ? 1 : 0];
    all = values;
    for (const auto& parameter : load_model(folder.path())->named_parameters())
      all.emplace_back("saved " + parameter.key(), parameter.value().detach());
  }
  expect_equal(written[1], written[0]);
}

TEST(DropoutOnADevice, HasTheMasksOfTheHost) {
  const at::Tensor places = at::arange(15);
  for (const auto& shape : {std::vector<std::int64_t>{15, 70}, std::vector<std::int64_t>{3, 2, 5, 33}}) {
    for (const double probability : {0.001, 0.3, 0.9}) {
      const at::Tensor x = at::randn(shape);
      Dropout of_host(1, 2, kIds), of_device(1, 2, kIds);
      of_host.over(places, 5);
      of_device.over(places.to(kStandInDevice), 5);
      for (int call = 0; call < 3; ++call) {
        EXPECT_TRUE(of_device(x.to(kStandInDevice), probability).cpu().equal(of_host(x, probability)));
      }
    }
  }
}

TEST(StandInDevice, RefusesTensorsOfTheHostBesideItsOwn) {
  const at::Tensor on_device = at::ones({2}, at::TensorOptions(kStandInDevice));
  EXPECT_THROW(on_device + at::ones({2}), c10::Error);
  EXPECT_THROW(at::cat({on_device, at::ones({2})}), c10::Error);
  EXPECT_EQ((on_device + on_device).sum().item<float>(), 4);
}

}  // namespace
}  // namespace lockstep::models
