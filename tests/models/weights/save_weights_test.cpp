#include "models/weights/save_weights.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "data/fixtures.h"
#include "lockstep/core/json.h"
#include "models/weights/weight_files.h"

namespace lockstep::models {
namespace {

using test::input_error;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

std::vector<std::string> files_in(const test::TemporaryFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

void expect_saved(const test::TemporaryFolder& folder, const NamedTensors& tensors) {
  const WeightFiles files(folder.path());
  EXPECT_EQ(files.names().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(files.tensor(name).equal(tensor)) << name;
}

NamedTensors random_tensors() {  // 40, 40, 80, 120 and 20 bytes
  return {{"e", at::randn({10})},
          {"d", at::randn({2, 5})},
          {"c", at::randn({20})},
          {"b", at::randn({30})},
          {"a", at::randn({5})}};
}

TEST(SaveWeights, ShardsAreCutInOrderAndALargeTensorStandsAlone) {
  const test::TemporaryFolder folder;
  const NamedTensors tensors = random_tensors();
  save_weights(folder.path(), tensors, at::kFloat, 100);
  expect_saved(folder, tensors);
  const Json index = core::read_json_file(folder.path() / "model.safetensors.index.json");
  EXPECT_EQ(index, Json::parse(R"({"metadata": {"total_parameters": 75, "total_size": 300}, "weight_map": {
      "a": "model-00003-of-00003.safetensors", "b": "model-00002-of-00003.safetensors",
      "c": "model-00003-of-00003.safetensors", "d": "model-00001-of-00003.safetensors",
      "e": "model-00001-of-00003.safetensors"}})"));
}

TEST(SaveWeights, NothingStaysOfWhatWasThereBefore) {
  const test::TemporaryFolder folder;
  folder.write("model-notes.txt", "mine");
  for (const std::uint64_t limit : {1000, 100, 140, 50, 1000, 100}) {
    const NamedTensors tensors = random_tensors();
    save_weights(folder.path(), tensors, at::kFloat, limit);
    expect_saved(folder, tensors);
    std::vector<std::string> expected = {"model-notes.txt"};
    if (limit == 1000) {
      expected.emplace_back("model.safetensors");
    } else {
      const Json index = core::read_json_file(folder.path() / "model.safetensors.index.json");
      for (const auto& [tensor, file] : index.at("weight_map").items()) expected.push_back(file);
      expected.emplace_back("model.safetensors.index.json");
      std::ranges::sort(expected);
      expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
    }
    EXPECT_EQ(files_in(folder), expected) << limit;
  }
}

TEST(SaveWeights, NumbersBeyondATypeAreRefused) {
  const test::TemporaryFolder folder;
  const NamedTensors tensors = {{"small", at::ones({3})}, {"large", at::full({2}, 1e6)}};
  EXPECT_THAT(test::input_error([&] { save_weights(folder.path(), tensors, at::kHalf, 1000); }),
              HasSubstr("model.safetensors: tensor 'large' has numbers beyond the range of Half"));
  EXPECT_THAT(files_in(folder), ElementsAre());
  save_weights(folder.path(), tensors, at::kBFloat16, 1000);
  EXPECT_EQ(WeightFiles(folder.path()).tensor("large").scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace lockstep::models
