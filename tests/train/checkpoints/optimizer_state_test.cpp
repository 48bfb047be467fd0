#include "train/checkpoints/optimizer_state.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <random>

#include "data/fixtures.h"
#include "lockstep/models/weights/safetensors.h"
#include "lockstep/train/checkpoints/checkpoint.h"
#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;
using test::input_error;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

std::vector<sharding::NamedParameter> random_parameters(std::mt19937& random) {
  std::vector<sharding::NamedParameter> parameters;
  for (std::size_t i = 0; i < 3 + random() % 9; ++i) {
    std::vector<std::int64_t> shape;
    for (std::size_t dimension = 0; dimension < 1 + random() % 3; ++dimension) {
      shape.push_back(static_cast<std::int64_t>(1 + random() % 20));
    }
    parameters.push_back(
        {.name = fmt::format("layer.{}/weight", i), .tensor = at::zeros(shape).requires_grad_(), .unit = random() % 4});
  }
  return parameters;
}

sharding::BucketOptions random_options(std::mt19937& random) {
  return {.bytes = static_cast<std::int64_t>(64U << random() % 10), .spans_units = random() % 3 != 0};
}

Hyperparameters with(job::Optim optim) {
  Hyperparameters hyperparameters;
  hyperparameters.optim = optim;
  return hyperparameters;
}

// What the ranks of a job hold.
struct Ranks {
  Ranks(const std::vector<sharding::NamedParameter>& parameters, const sharding::BucketOptions& options, int number,
        job::Optim optim)
      : layout(parameters, options) {
    for (int rank = 0; rank < number; ++rank) {
      sharding::Ownership ownership{.is_sharded = true};
      std::vector<at::Tensor> own;
      for (const auto& bucket : layout.buckets()) {
        ownership.parts.push_back(comm::range_of(bucket.size, rank, number));
        own.push_back(at::zeros({ownership.parts.back().size()}));
      }
      optimizers.push_back(make_optimizer({layout, ownership, own, with(optim), make_communicator()}));
    }
  }

  // Gives every number a distinct value.
  void fill() {
    for (const auto& optimizer : optimizers) {
      for (const auto& [name, part, tensor, is_saved] : optimizer->state()) {
        const float start = static_cast<float>(std::hash<std::string>()(name) % 1000) * 1e4F;
        tensor.copy_(at::arange(part.begin, part.end, at::kFloat) + start);
      }
    }
  }

  void save(const fs::path& folder) const {
    for (std::size_t rank = 0; rank < optimizers.size(); ++rank) {
      models::write_safetensors(
          folder / optimizer_file_name(static_cast<int>(rank), static_cast<int>(optimizers.size())),
          saved_state(*optimizers[rank]));
    }
  }

  void load(const fs::path& folder) {
    for (const auto& optimizer : optimizers) load_optimizer_state(folder, *optimizer);
  }

  sharding::ParameterLayout layout;
  std::vector<std::unique_ptr<Optimizer>> optimizers;
};

void expect_equal(const Ranks& found, const Ranks& expected) {
  for (std::size_t rank = 0; rank < found.optimizers.size(); ++rank) {
    const auto &state = found.optimizers[rank]->state(), &other = expected.optimizers[rank]->state();
    ASSERT_EQ(state.size(), other.size());
    for (std::size_t i = 0; i < state.size(); ++i) EXPECT_TRUE(state[i].tensor.equal(other[i].tensor)) << state[i].name;
  }
}

std::vector<job::Optim> all_optimizers() {
  std::vector<job::Optim> all;
  for (const job::OptimizerFacts& optimizer : job::kOptimizers) all.push_back(optimizer.optim);
  return all;
}

class EveryOptimizer : public testing::TestWithParam<job::Optim> {};
INSTANTIATE_TEST_SUITE_P(OptimizerState, EveryOptimizer, testing::ValuesIn(all_optimizers()),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

TEST_P(EveryOptimizer, OtherRanksAndBucketsReadWhatWasWritten) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto parameters = random_parameters(random);
    const test::TemporaryFolder folder;
    Ranks writers(parameters, random_options(random), static_cast<int>(1 + random() % 5), GetParam());
    writers.fill();
    writers.save(folder.path());
    const sharding::BucketOptions options = random_options(random);
    const int number = static_cast<int>(1 + random() % 5);
    Ranks readers(parameters, options, number, GetParam()), expected(parameters, options, number, GetParam());
    readers.load(folder.path());
    expected.fill();
    expect_equal(readers, expected);
  }
}

std::vector<std::string> names_of(const NamedTensors& state) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state) names.push_back(fmt::format("{} {}", name, tensor.numel()));
  return names;
}

TEST(OptimizerState, NamesSayWhereAStretchBelongs) {
  const sharding::ParameterLayout layout({{"a.weight", at::zeros({5, 5}).requires_grad_()},  // elements 48 to 73 of 80
                                          {"b/c", at::zeros({40}).requires_grad_()}});       // 0 to 40 of 48
  const sharding::Ownership ownership{.is_sharded = true, .parts = {{16, 64}}};
  const auto optimizer = make_optimizer({layout, ownership, {at::zeros({48})}, {}, make_communicator()});
  EXPECT_THAT(names_of(saved_state(*optimizer)), ElementsAre("b/c/exp_avg/16 24", "a.weight/exp_avg/0 16",
                                                             "b/c/exp_avg_sq/16 24", "a.weight/exp_avg_sq/0 16"));
}

TEST(OptimizerState, MeansOfAMatrixAreSavedByTheRankThatHasItsFirstElement) {
  const sharding::ParameterLayout layout({{"a.weight", at::zeros({5, 6}).requires_grad_()},  // elements 48 to 78 of 80
                                          {"b/c", at::zeros({40}).requires_grad_()}});       // 0 to 40 of 48
  const auto adafactor = [&](comm::Range part) {
    return make_optimizer({layout,
                           {.is_sharded = true, .parts = {part}},
                           {at::zeros({part.size()})},
                           with(job::Optim::kAdafactor),
                           make_communicator()});
  };
  const auto first = adafactor({0, 64}), second = adafactor({64, 80});
  EXPECT_THAT(names_of(saved_state(*first)),
              ElementsAre("b/c/exp_avg_sq/0 40", "a.weight/exp_avg_sq_row/0 5", "a.weight/exp_avg_sq_col/0 6"));
  EXPECT_THAT(names_of(saved_state(*second)), ElementsAre());
  EXPECT_EQ(second->state().size(), 2);
}

TEST_P(EveryOptimizer, ARunGoesOnAsIfItHadNotStopped) {
  at::manual_seed(5);
  const sharding::ParameterLayout layout(
      {{"weight", at::zeros({9, 7}).requires_grad_()}, {"bias", at::zeros({40}).requires_grad_()}}, {.bytes = 1});
  const sharding::Ownership whole = sharding::Ownership::replicated(layout);
  std::vector<at::Tensor> own, gradients;
  for (const auto& bucket : layout.buckets()) {
    own.push_back(at::randn({bucket.size}));
    gradients.push_back(at::randn({bucket.size}));
  }
  const auto make = [&](const std::vector<at::Tensor>& parameters) {
    return make_optimizer({layout, whole, parameters, with(GetParam()), make_communicator()});
  };
  const auto step = [&](Optimizer& optimizer) {
    optimizer.step({gradients[0].clone(), gradients[1].clone()}, 0.1);
    gradients = {gradients[0] * 1.5 - 0.2, gradients[1] * 0.7 + 0.1};
  };
  const auto undisturbed = make(own);
  step(*undisturbed);
  step(*undisturbed);
  const test::TemporaryFolder folder;
  models::write_safetensors(folder.path() / optimizer_file_name(0, 1), saved_state(*undisturbed));
  const std::vector<at::Tensor> own_then = {own[0].clone(), own[1].clone()};
  const std::vector<at::Tensor> own_of_forgetful = {own[0].clone(), own[1].clone()};
  const auto resumed = make(own_then), forgetful = make(own_of_forgetful);
  load_optimizer_state(folder.path(), *resumed);
  EXPECT_EQ(undisturbed->updates(), 2);
  for (Optimizer* optimizer : {resumed.get(), forgetful.get()}) optimizer->set_updates(2);
  // Opposite to the momentum, and so small that the momentum decides.
  const std::vector<at::Tensor> gradients_then = {gradients[0] * -1e-3, gradients[1] * -1e-3};
  for (Optimizer* optimizer : {undisturbed.get(), resumed.get(), forgetful.get()}) {
    gradients = gradients_then;
    step(*optimizer);
  }
  for (const auto& entry : layout.entries()) {
    const at::Tensor expected = sharding::ParameterLayout::view(own[entry.bucket], entry);
    EXPECT_TRUE(sharding::ParameterLayout::view(own_then[entry.bucket], entry).equal(expected)) << entry.name;
    EXPECT_FALSE(sharding::ParameterLayout::view(own_of_forgetful[entry.bucket], entry).equal(expected)) << entry.name;
  }
  EXPECT_EQ(resumed->updates(), 3);
}

class OptimizerStateFiles : public testing::Test {
 protected:
  static NamedTensors state(std::int64_t elements, std::int64_t begin = 0) {
    NamedTensors tensors;
    for (const char* moment : {"exp_avg", "exp_avg_sq"}) {
      tensors.emplace_back(fmt::format("weight/{}/{}", moment, begin), at::ones({elements}));
    }
    return tensors;
  }
  std::string load() {
    const sharding::ParameterLayout layout({{"weight", at::zeros({4, 5}).requires_grad_()}});
    const sharding::Ownership whole = sharding::Ownership::replicated(layout);
    const std::vector<at::Tensor> own = {at::zeros({layout.buckets()[0].size})};
    const Hyperparameters hyperparameters;
    const auto optimizer = make_optimizer({layout, whole, own, hyperparameters, make_communicator()});
    return test::input_error([&] { load_optimizer_state(folder_.path(), *optimizer); });
  }
  void write(const NamedTensors& tensors, int rank = 0) {
    models::write_safetensors(folder_.path() / optimizer_file_name(rank, 2), tensors);
  }

  test::TemporaryFolder folder_;
};

TEST_F(OptimizerStateFiles, WhatIsMissingIsNamed) {
  EXPECT_THAT(load(), AllOf(HasSubstr(folder_.path().string()), HasSubstr("elements 0 to 20 of weight/exp_avg"),
                            HasSubstr("none for element 0")));
  write(state(7));
  EXPECT_THAT(load(), HasSubstr("none for element 7"));
  write(state(7), 0);
  write(state(12, 8), 1);
  EXPECT_THAT(load(), HasSubstr("none for element 7"));
  write(state(19, 1), 0);
  fs::remove(folder_.path() / optimizer_file_name(1, 2));
  EXPECT_THAT(load(), HasSubstr("none for element 0"));
}

TEST_F(OptimizerStateFiles, StateOfAnotherModelIsRefused) {
  write(state(21));
  EXPECT_THAT(load(), AllOf(HasSubstr("'weight/exp_avg/0'"), HasSubstr("at most 20 elements"), HasSubstr("[21]")));
  write(state(1, 21));
  EXPECT_THAT(load(), AllOf(HasSubstr("'weight/exp_avg/21'"), HasSubstr("at most 0 elements")));
  write({{"weight/exp_avg/0", at::ones({4, 5})}});
  EXPECT_THAT(load(), HasSubstr("[4, 5]"));
  write({{"weight/exp_avg/0", at::ones({20}, at::kHalf)}});
  EXPECT_THAT(load(), HasSubstr("Half"));
  for (const char* name : {"other/exp_avg/0", "weight/momentum/0", "weight", "weight/exp_avg/-1", "weight/exp_avg/",
                           "weight/exp_avg/1x", "weight/exp_avg/99999999999999999999"}) {
    write({{name, at::ones({1})}});
    EXPECT_THAT(load(), AllOf(HasSubstr(name), HasSubstr("parameters that this job trains"))) << name;
  }
}

TEST_F(OptimizerStateFiles, AStretchThatIsThereTwiceIsRefused) {
  write(state(20), 0);
  write(state(20), 1);
  EXPECT_THAT(load(), HasSubstr("expected state that is in no other file"));
}

TEST_F(OptimizerStateFiles, ATruncatedFileIsRefused) {
  write(state(20));
  const fs::path path = folder_.path() / optimizer_file_name(0, 2);
  fs::resize_file(path, fs::file_size(path) - 1);
  EXPECT_THAT(load(), HasSubstr(optimizer_file_name(0, 2)));
}

}  // namespace
}  // namespace lockstep::train
