#include <gtest/gtest.h>
#include <torch/torch.h>
#include <barrier>
#include <cmath>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {
namespace {

// transformers' Adafactor with scale_parameter=False and relative_step=False, written out for one parameter.
struct Reference {
  explicit Reference(const at::Tensor& parameter, double weight_decay)
      : value(parameter.detach().to(torch::kDouble).clone()), decay(weight_decay) {}

  void step(const at::Tensor& gradient, double learning_rate) {
    const double beta = 1 - std::pow(++steps, -0.8);
    const at::Tensor squares = gradient.square() + 1e-30;
    const auto follow = [beta](at::Tensor& mean, const at::Tensor& now) {
      mean = mean.defined() ? beta * mean + (1 - beta) * now : now;
    };
    at::Tensor update;
    if (gradient.dim() >= 2) {
      follow(row, squares.mean(-1));
      follow(column, squares.mean(-2));
      update = (row / row.mean(-1, true)).rsqrt().unsqueeze(-1) * column.rsqrt().unsqueeze(-2) * gradient;
    } else {
      follow(square, squares);
      update = square.rsqrt() * gradient;
    }
    const double root_mean_square = update.norm().item<double>() / std::sqrt(static_cast<double>(update.numel()));
    value = value * (1 - learning_rate * decay) - learning_rate * update / std::max(1.0, root_mean_square);
  }

  at::Tensor value, row, column, square;
  double decay;
  int steps = 0;
};

// A job whose ranks are threads of this process.
struct World {
  explicit World(int ranks) : size(ranks), meeting(ranks) {}
  int size;
  std::barrier<> meeting;
  std::mutex mutex;
  at::Tensor sum;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(World& world, int rank) : world_(world), rank_(rank) {}
  int rank() const override { return rank_; }
  int world_size() const override { return world_.size; }
  int local_rank() const override { return rank_; }
  int cores_per_rank() const override { return 1; }
  void all_reduce_sum(at::Tensor tensor) override {
    if (rank_ == 0) world_.sum = torch::zeros_like(tensor);
    world_.meeting.arrive_and_wait();
    {
      const std::lock_guard lock(world_.mutex);
      world_.sum.add_(tensor);
    }
    world_.meeting.arrive_and_wait();
    tensor.copy_(world_.sum);
    world_.meeting.arrive_and_wait();
  }
  std::shared_ptr<comm::PendingCollective> begin_all_reduce_sum(at::Tensor, std::string) override {
    return unexpected();
  }
  std::shared_ptr<comm::PendingCollective> begin_reduce_scatter_sum(at::Tensor, std::string) override {
    return unexpected();
  }
  std::shared_ptr<comm::PendingCollective> begin_all_gather(at::Tensor, std::string) override { return unexpected(); }
  void broadcast_from_root(at::Tensor) override { unexpected(); }
  void barrier() override { unexpected(); }
  void set_timeout(std::chrono::seconds) override {}
  void set_activity(std::string) override {}
  std::string activity() const override { return ""; }
  void abort(int) override { std::abort(); }

 private:
  static std::shared_ptr<comm::PendingCollective> unexpected() { throw std::logic_error("not for this test"); }
  World& world_;
  int rank_;
};

Hyperparameters adafactor_settings() {
  Hyperparameters hyperparameters;
  hyperparameters.optim = job::Optim::kAdafactor;
  hyperparameters.weight_decay = 0.1;
  return hyperparameters;
}

std::vector<sharding::NamedParameter> random_matrices(std::mt19937& random) {
  std::vector<sharding::NamedParameter> parameters;
  for (std::size_t i = 0; i < 2 + random() % 5; ++i) {
    std::vector<std::int64_t> shape;
    for (std::size_t dimension = 0; dimension < 1 + random() % 3; ++dimension) {
      shape.push_back(static_cast<std::int64_t>(1 + random() % 30));
    }
    if (random() % 6 == 0) shape = {static_cast<std::int64_t>(1 + random() % 3), 40000};  // a row longer than a piece
    parameters.push_back({"layer." + std::to_string(i), torch::randn(shape).requires_grad_(), random() % 3});
  }
  return parameters;
}

at::Tensor random_gradient(const sharding::ParameterLayout::Entry& entry, std::mt19937& random) {
  at::Tensor gradient = torch::randn(entry.parameter.sizes()) * std::pow(10.0, static_cast<double>(random() % 5) - 4);
  if (random() % 4 == 0) gradient.select(0, 0).zero_();
  if (random() % 8 == 0) gradient.zero_();
  return gradient;
}

// Compares five steps with the reference, by `ranks` ranks that share the parameters or by one that holds them all.
void expect_reference(std::uint32_t seed, int ranks) {
  std::mt19937 random(seed);
  torch::manual_seed(seed);
  const sharding::ParameterLayout layout(random_matrices(random), {.bytes = 64 << random() % 16});
  std::vector<Reference> references;
  std::vector<at::Tensor> buckets;
  for (const auto& bucket : layout.buckets()) buckets.push_back(torch::zeros({bucket.size}));
  for (const auto& entry : layout.entries()) {
    references.emplace_back(entry.parameter, entry.parameter.dim() > 1 ? 0.1 : 0);
    sharding::ParameterLayout::view(buckets[entry.bucket], entry).copy_(entry.parameter.detach());
  }
  World world(ranks);
  struct Rank {
    sharding::Ownership ownership;
    std::vector<at::Tensor> own = {}, gradients = {};
    std::unique_ptr<Optimizer> optimizer = nullptr;
  };
  std::vector<Rank> all;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto communicator = std::make_shared<ThreadCommunicator>(world, rank);
    Rank one{ranks == 1 ? sharding::Ownership::replicated(layout)
                        : sharding::Ownership::sharded(layout, *communicator)};
    for (std::size_t i = 0; i < buckets.size(); ++i) one.own.push_back(one.ownership.own(buckets[i], i));
    one.optimizer = make_optimizer({layout, one.ownership, one.own, adafactor_settings(), communicator});
    all.push_back(std::move(one));
  }
  for (int step = 1; step <= 5; ++step) {
    std::vector<at::Tensor> gradients;
    for (const auto& bucket : layout.buckets()) gradients.push_back(torch::zeros({bucket.size}));
    for (std::size_t i = 0; i < references.size(); ++i) {
      const auto& entry = layout.entries()[i];
      const at::Tensor gradient = random_gradient(entry, random);
      sharding::ParameterLayout::view(gradients[entry.bucket], entry).copy_(gradient);
      references[i].step(gradient.to(torch::kDouble), 0.01 * step);
    }
    std::vector<std::thread> threads;
    for (Rank& rank : all) {
      rank.gradients.clear();
      for (std::size_t i = 0; i < buckets.size(); ++i) {
        rank.gradients.push_back(rank.ownership.own(gradients[i], i));
      }
      threads.emplace_back([&rank, step] { rank.optimizer->step(rank.gradients, 0.01 * step); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (std::size_t i = 0; i < references.size(); ++i) {
    const auto& entry = layout.entries()[i];
    const at::Tensor found = sharding::ParameterLayout::view(buckets[entry.bucket], entry).to(torch::kDouble);
    EXPECT_TRUE(found.allclose(references[i].value, 1e-4, 2e-6))
        << entry.name << " " << entry.parameter.sizes() << " of " << (found - references[i].value).abs().max();
  }
}

TEST(Adafactor, FollowsTransformers) {
  for (std::uint32_t seed = 0; seed < 15; ++seed) {
    SCOPED_TRACE(seed);
    expect_reference(seed, 1);
  }
}

TEST(Adafactor, RanksThatShareMatricesFollowTransformers) {
  for (std::uint32_t seed = 0; seed < 15; ++seed) {
    SCOPED_TRACE(seed);
    expect_reference(seed, 2 + static_cast<int>(seed % 4));
  }
}

TEST(Adafactor, RemembersRowsAndColumnsAlone) {
  const sharding::ParameterLayout layout(
      {{"weight", torch::zeros({1000, 2000}).requires_grad_()}, {"bias", torch::zeros({2000}).requires_grad_()}});
  std::vector<at::Tensor> own;
  for (const auto& bucket : layout.buckets()) own.push_back(torch::zeros({bucket.size}));
  const auto optimizer =
      make_optimizer({layout, sharding::Ownership::replicated(layout), own, adafactor_settings(), make_communicator()});
  std::int64_t numbers = 0;
  for (const auto& [name, size] : optimizer->state_sizes()) numbers += size;
  EXPECT_EQ(numbers, 1000 + 2000 + 2000);
}

}  // namespace
}  // namespace lockstep::train
