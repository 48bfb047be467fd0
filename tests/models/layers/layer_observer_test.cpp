#include "lockstep/models/layers/layer_observer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <map>
#include <mutex>

#include "lockstep/models/adapters/lora.h"
#include "models/family_configs.h"
#include "models/small_models.h"

namespace lockstep::models {
namespace {

constexpr std::array<std::uint64_t, 3> kIds = {4, 7, 2};

struct CountingObserver final : LayerObserver {
  void before_layer(std::size_t, const at::Tensor&) override { ++layers; }
  void after_layer(std::size_t, const at::Tensor&) override {}
  int layers = 0;
};

// Returns the losses of two micro-batches and their accumulated gradients.
std::map<std::string, at::Tensor> values_of(LanguageModel& model, bool recomputes) {
  CountingObserver observer;
  model.zero_grad();
  std::map<std::string, at::Tensor> values;
  for (const std::uint64_t step : {6, 7}) {
    const std::vector<data::Example> examples = {{{3, 4, 5}, {6, 7}}, {{8}, {9, 10, 11, 1}}, {{2, 3, 4, 5, 6, 7}, {1}}};
    const Batch batch = collate(examples, kIds, model.info().has_encoder, model.info().decoder_start_id, 0);
    Pass pass{.dropout = Dropout(5, step, kIds),
              .noise = EmbeddingNoise(5, 5, step, kIds),
              .observer = &observer,
              .recomputes_layers = recomputes};
    const at::Tensor loss = model.loss_sum(batch, pass);
    loss.backward();
    values["loss " + std::to_string(step)] = loss.detach();
  }
  EXPECT_GT(observer.layers, 0);
  for (const auto& parameter : model.named_parameters()) {
    const at::Tensor& gradient = parameter.value().grad();
    if (gradient.defined()) values[parameter.key()] = gradient.clone();
  }
  return values;
}

void expect_the_same_bits(LanguageModel& model) {
  const auto expected = values_of(model, false), found = values_of(model, true);
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_GT(found.size(), 4U);
  for (const auto& [name, value] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_TRUE(found.at(name).equal(value)) << name;
  }
}

class RecomputedLayers : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, RecomputedLayers, testing::ValuesIn(test::kFamilyConfigs));

TEST_P(RecomputedLayers, GiveTheSameBits) { expect_the_same_bits(*test::model_of(GetParam())); }

// The embeddings are frozen, so the input of the first layer needs no gradient.
TEST_P(RecomputedLayers, GiveTheSameBitsOfAnAdapter) {
  const auto model = test::model_of(GetParam());
  add_lora(*model, {.rank = 2, .dropout = 0.3}, 1);
  for (const auto& parameter : model->named_parameters()) {
    if (!parameter.key().ends_with("lora_B.weight")) continue;
    const at::NoGradGuard no_grad;
    parameter.value().normal_();  // otherwise the gradients of lora_A are 0
  }
  expect_the_same_bits(*model);
}

TEST(RecomputedLayer, IsComputedAgainOnlyIfItTrainsAnything) {
  int calls = 0;
  const auto layer = [&](const at::Tensor& weight) {
    return [&calls, weight](const std::vector<at::Tensor>& inputs, Pass&) {
      ++calls;
      return inputs[0] * weight;
    };
  };
  Pass pass{.recomputes_layers = true};
  const at::Tensor frozen = torch::full({3}, 2.0), trained = torch::full({3}, 5.0).requires_grad_();
  const at::Tensor first = run_layer(pass, 0, {torch::ones({3})}, layer(frozen));
  EXPECT_FALSE(first.requires_grad());
  const at::Tensor second = run_layer(pass, 1, {first}, layer(trained));
  EXPECT_EQ(calls, 2);
  second.sum().backward();
  EXPECT_EQ(calls, 3);
  EXPECT_TRUE(trained.grad().equal(first));
  {
    const at::NoGradGuard no_grad;
    run_layer(pass, 1, {first}, layer(trained));
  }
  EXPECT_EQ(calls, 4);
}

// The copy of a pass that a layer keeps for its recomputation is that of its own forward pass, whatever other passes
// have run since.
TEST(RecomputedLayer, KeepsThePassOfItsForward) {
  std::vector<std::pair<double, bool>> seen;
  const auto layer = [&](const std::vector<at::Tensor>& inputs, Pass& pass) {
    seen.emplace_back(pass.label_smoothing, pass.adds_gradients_in_place);
    return inputs[0] * 2;
  };
  const at::Tensor x = torch::ones({3}).requires_grad_();
  Pass first{.label_smoothing = 0.1, .adds_gradients_in_place = true, .recomputes_layers = true};
  Pass second{.label_smoothing = 0.2, .recomputes_layers = true};
  const at::Tensor of_first = run_layer(first, 0, {x}, layer);
  const at::Tensor of_second = run_layer(second, 0, {x}, layer);
  seen.clear();
  first.label_smoothing = 0.3;
  first.adds_gradients_in_place = false;
  of_first.sum().backward();
  of_second.sum().backward();
  EXPECT_EQ(seen, (std::vector<std::pair<double, bool>>{{0.1, true}, {0.2, false}}));
}

// Counts allocated memory. Stays installed after its first use, because memory may outlive a test.
class CountingAllocator final : public c10::Allocator {
 public:
  static CountingAllocator& installed() {
    static auto* const counting = new CountingAllocator;
    return *counting;
  }
  c10::DataPtr allocate(std::size_t bytes) override {
    c10::DataPtr memory = below_->allocate(bytes);
    void* const address = memory.get();
    if (address == nullptr) return memory;
    const std::lock_guard lock(mutex_);
    pieces_.emplace(address, Piece{std::move(memory), bytes});
    peak_ = std::max(peak_, now_ += bytes);
    return {address, address, &CountingAllocator::give_back, at::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &CountingAllocator::give_back; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
  // Returns the peak memory that `compute` allocates, bytes, in addition to what is already allocated.
  template <class Compute>
  double peak_of(const Compute& compute) {
    const std::size_t before = peak_ = now_;
    compute();
    return static_cast<double>(peak_ - before);
  }

 private:
  struct Piece {
    c10::DataPtr memory;
    std::size_t bytes;
  };
  CountingAllocator() : below_(c10::GetAllocator(at::kCPU)) { c10::SetAllocator(at::kCPU, this, 1); }
  static void give_back(void* address) {
    const std::lock_guard lock(installed().mutex_);
    const auto piece = installed().pieces_.extract(address);
    if (piece) installed().now_ -= piece.mapped().bytes;  // null if the block was not counted
  }
  c10::Allocator* below_;
  std::mutex mutex_;
  std::map<void*, Piece> pieces_;
  std::size_t now_ = 0, peak_ = 0;
};

TEST(RecomputedLayer, MemoryIsThatOfOneLayer) {
  for (const char* config : {R"({"model_type": "gpt2", "n_embd": 64, "n_layer": 12, "n_head": 4, "n_positions": 256,
                                 "vocab_size": 20})",
                             R"({"model_type": "t5", "d_model": 64, "d_kv": 16, "d_ff": 256, "num_layers": 12,
                                 "num_heads": 4, "vocab_size": 20, "decoder_start_token_id": 0})"}) {
    const auto model = test::model_of(config);
    const std::vector<std::uint64_t> ids = {1, 2};
    const std::vector<TokenId> tokens(100, 3);
    const Batch batch = collate(std::vector<data::Example>{{tokens, tokens}, {tokens, tokens}}, ids,
                                model->info().has_encoder, model->info().decoder_start_id, 0);
    const auto peak = [&](bool recomputes) {
      Pass pass{.dropout = Dropout(1, 1, ids), .recomputes_layers = recomputes};
      model->zero_grad();
      return CountingAllocator::installed().peak_of([&] { model->loss_sum(batch, pass).backward(); });
    };
    const double whole = peak(false), layered = peak(true);
    EXPECT_LT(layered, 0.4 * whole) << config;
    RecordProperty(model->info().model_type, std::to_string(layered / whole));
  }
}

}  // namespace
}  // namespace lockstep::models
