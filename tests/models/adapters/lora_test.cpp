#include "lockstep/models/adapters/lora.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>

#include "data/fixtures.h"
#include "lockstep/models/families.h"
#include "lockstep/models/pretrained.h"

namespace lockstep::models {
namespace {

using test::input_error;
using test::TemporaryFolder;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kGpt2 = R"({"model_type": "gpt2", "vocab_size": 13, "n_embd": 8, "n_head": 2, "n_layer": 2})";
constexpr const char* kT5 = R"({"model_type": "t5", "vocab_size": 13, "d_model": 8, "d_kv": 4, "d_ff": 12,
                                "num_heads": 2, "num_layers": 1})";

std::shared_ptr<LanguageModel> make(const char* config) {
  const Json json = Json::parse(config);
  auto model = find_family(json).build(json, {});
  model->initialise_weights(at::detail::createCPUGenerator(5));
  return model;
}

double loss(LanguageModel& model) {
  const std::vector<data::Example> examples = {{{3, 4, 5}, {6, 1}}, {{7}, {8, 9, 1}}};
  const std::vector<std::uint64_t> ids = {0, 1};
  Pass pass;
  return model.loss_sum(collate(examples, ids, model.info().has_encoder, 0, 0), pass).item<double>();
}

std::vector<std::string> trained(const LanguageModel& model) {
  std::vector<std::string> names;
  for (const auto& parameter : model.named_parameters()) {
    if (parameter.value().requires_grad()) names.push_back(parameter.key());
  }
  return names;
}

void randomise(LanguageModel& model) {
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters()) {
    if (parameter.requires_grad()) parameter.normal_(0, 0.5, at::detail::createCPUGenerator(6));
  }
}

TEST(Lora, ANewAdapterChangesNothingAndIsAllThatIsTrained) {
  for (const char* config : {kGpt2, kT5}) {
    const auto model = make(config);
    const double before = loss(*model);
    add_lora(*model, {.target_modules = {"all-linear"}}, 1);
    EXPECT_EQ(loss(*model), before);
    EXPECT_THAT(trained(*model), Each(HasSubstr(".lora_")));
    EXPECT_THAT(trained(*model), SizeIs(2 * (config == kGpt2 ? 2 * 4 : 6 + 10)));
  }
}

TEST(Lora, TheFamilySaysWhatIsAdaptedByDefault) {
  const auto model = make(kGpt2);
  add_lora(*model, {}, 1);
  EXPECT_THAT(trained(*model), AllOf(SizeIs(4), Each(HasSubstr(".attn.c_attn.lora_"))));
}

TEST(Lora, UnknownTargetsAreRefusedWithThoseThatThereAre) {
  const auto model = make(kGpt2);
  EXPECT_THAT(test::input_error([&] {
                add_lora(*model, {.target_modules = {"c_fc", "q_proj"}}, 1);
              }),
              AllOf(HasSubstr("'q_proj'"), HasSubstr("c_attn, c_fc, c_proj")));
  EXPECT_THAT(test::input_error([&] { add_lora(*model, {.target_modules = {"attn"}}, 1); }), HasSubstr("'attn'"));
  EXPECT_FALSE(has_adapter(*model));
}

TEST(Lora, OneSeedGivesOneAdapter) {
  const auto first = make(kT5), same = make(kT5), other = make(kT5);
  add_lora(*first, {}, 1);
  add_lora(*same, {}, 1);
  add_lora(*other, {}, 2);
  const std::string name = "encoder.block.0.layer.0.SelfAttention.q.lora_A.weight";
  EXPECT_TRUE(first->named_parameters()[name].equal(same->named_parameters()[name]));
  EXPECT_FALSE(first->named_parameters()[name].equal(other->named_parameters()[name]));
}

TEST(Lora, SavedLoadedAndMergedItComputesTheSame) {
  for (const char* config : {kGpt2, kT5}) {
    const test::TemporaryFolder folder;
    const auto model = make(config);
    const double before = loss(*model);
    add_lora(*model, {.rank = 3, .use_rslora = true, .target_modules = {"all-linear"}}, 1);
    randomise(*model);
    const double adapted = loss(*model);
    EXPECT_GT(std::abs(adapted - before), 1e-2);
    save_adapter(*model, folder.path());

    const auto loaded = make(config);
    load_adapter(*loaded, folder.path());
    EXPECT_EQ(loss(*loaded), adapted);
    EXPECT_EQ(loaded->info().adapter_config, model->info().adapter_config);

    merge_adapter(*loaded);
    EXPECT_NEAR(loss(*loaded), adapted, 1e-4);
    EXPECT_FALSE(has_adapter(*loaded));
    EXPECT_EQ(trained(*loaded), trained(*make(config)));
  }
}

// The model's own tensors may have no memory in this case.
TEST(Lora, OtherWeightsAreSavedInsteadOfItsOwn) {
  for (const char* config : {kGpt2, kT5}) {
    const test::TemporaryFolder folder;
    const auto model = make(config);
    const auto save_with = [&](const std::map<std::string, at::Tensor>& weights) {
      if (has_adapter(*model)) return save_adapter(*model, folder.path(), at::kFloat, &weights);
      save_model(*model, folder.path(), {.weights = &weights});
    };
    for (const bool adapted : {false, true}) {
      if (adapted) add_lora(*model, {.rank = 2}, 1);
      std::map<std::string, at::Tensor> copies;
      const auto parameters = model->named_parameters();
      for (const std::string& name : trained(*model)) {
        copies.emplace(name, at::randn(parameters[name].sizes()));
        c10::StorageImpl* memory = parameters[name].storage().unsafeGetStorageImpl();
        memory->set_data_ptr_noswap(at::DataPtr(nullptr, at::kCPU));
        memory->set_nbytes(0);
      }
      save_with(copies);
      const auto loaded = adapted ? make(config) : load_model(folder.path());
      if (adapted) load_adapter(*loaded, folder.path());
      for (const auto& [name, copy] : copies) EXPECT_TRUE(loaded->named_parameters()[name].equal(copy)) << name;
      copies.begin()->second = at::zeros({1});
      EXPECT_THROW(save_with(copies), Error);
      for (const auto& [name, copy] : copies) parameters[name].set_data(at::zeros(parameters[name].sizes()));
    }
  }
}

TEST(Lora, AnAdapterOfTheHeadHasNoDropout) {
  const Json json = Json::parse(kGpt2);
  const auto model = find_family(json).build(json, {.untied_head = true});
  EXPECT_THAT(test::input_error([&] { add_lora(*model, {.dropout = 0.1, .target_modules = {"lm_head"}}, 1); }),
              HasSubstr("lora_dropout"));
}

}  // namespace
}  // namespace lockstep::models
