#include "lockstep/sharding/gradient_reducer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <algorithm>
#include <mutex>

#include "comm/thread_ranks.h"

namespace lockstep::sharding {
namespace {

using testing::ElementsAre;

// The only rank of its world. Records the collectives that were begun; the sum of each is the rank's own tensor.
class RecordingRank final : public Communicator {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  int local_rank() const override { return 0; }
  int cores_per_rank() const override { return 1; }
  void all_reduce_sum(at::Tensor) override {}
  void broadcast_from_root(at::Tensor) override {}
  void barrier() override {}
  std::shared_ptr<comm::PendingCollective> begin_all_reduce_sum(at::Tensor, std::string name) override {
    return begin(std::move(name));
  }
  std::shared_ptr<comm::PendingCollective> begin_reduce_scatter_sum(at::Tensor, std::string name) override {
    return begin(std::move(name));
  }
  std::shared_ptr<comm::PendingCollective> begin_all_gather(at::Tensor, std::string name) override {
    return begin(std::move(name));
  }
  void set_timeout(std::chrono::seconds) override {}
  void set_activity(std::string) override {}
  std::string activity() const override { return ""; }
  [[noreturn]] void abort(int exit_code) override { ::_exit(exit_code); }

  std::vector<std::string> begun;
  int under_way = 0;
  int most_under_way = 0;

 private:
  class Counted final : public comm::PendingCollective {
   public:
    explicit Counted(RecordingRank& rank) : rank_(rank) {}
    void wait() override { --rank_.under_way; }

   private:
    RecordingRank& rank_;
  };

  std::shared_ptr<comm::PendingCollective> begin(std::string name) {
    begun.push_back(std::move(name));
    most_under_way = std::max(most_under_way, ++under_way);
    return std::make_shared<Counted>(*this);
  }
};

constexpr BucketOptions kOneParameterEach{.bytes = 1};

std::vector<NamedParameter> parameters_of(std::size_t count) {
  std::vector<NamedParameter> parameters;
  for (std::size_t i = 0; i < count; ++i) {
    parameters.push_back({"weight" + std::to_string(i), at::ones({5, 4}).requires_grad_()});
  }
  return parameters;
}

// The sum of all parameters' elements, each times its number, counted from 1, and `factor`.
at::Tensor loss_of(const std::vector<NamedParameter>& parameters, double factor = 1) {
  at::Tensor loss = at::zeros({});
  double number = 0;
  for (const NamedParameter& parameter : parameters) loss = loss + parameter.tensor.sum() * (factor * ++number);
  return loss;
}

void reduce(GradientReducer& reducer, const at::Tensor& loss) {
  reducer.begin_pass(true);
  loss.backward();
  reducer.end_pass();
  reducer.finish();
}

TEST(GradientReducer, AddsTheBackwardPassesOfAStepInTheFlatBuffer) {
  const auto parameters = parameters_of(1);
  const ParameterLayout layout(parameters);
  const auto rank = std::make_shared<RecordingRank>();
  GradientReducer reducer(layout, Ownership::replicated(layout), rank);
  EXPECT_TRUE(parameters[0].tensor.grad().is_alias_of(reducer.gradients()[0]));
  reducer.zero();
  reducer.begin_pass(false);
  loss_of(parameters, 2).backward();
  reducer.end_pass();
  EXPECT_THAT(rank->begun, ElementsAre()) << "only the last pass of a step is reduced";
  reduce(reducer, loss_of(parameters, 3));
  EXPECT_EQ(rank->begun.size(), 1U);
  EXPECT_TRUE(ParameterLayout::view(reducer.gradients()[0], layout.entries()[0]).eq(5).all().item<bool>());
  reducer.zero();
  EXPECT_TRUE(parameters[0].tensor.grad().eq(0).all().item<bool>());
}

TEST(GradientReducer, SumsTiedWeightsOnce) {
  auto parameters = parameters_of(1);
  parameters.push_back({"tied", parameters[0].tensor});
  const ParameterLayout layout(parameters);
  for (const bool frees_buckets : {false, true}) {
    GradientReducer reducer(layout, Ownership::replicated(layout), std::make_shared<RecordingRank>(),
                            {.frees_buckets = frees_buckets});
    reducer.zero();
    reduce(reducer, loss_of(parameters));
    EXPECT_TRUE(ParameterLayout::view(reducer.gradients()[0], layout.entries()[0]).eq(1 + 2).all().item<bool>());
    EXPECT_NEAR(reducer.norm(), 3 * std::sqrt(20.0), 1e-4);
  }
}

TEST(GradientReducer, GivesEveryRankTheSumsOfWhatItOwns) {
  for (const bool is_sharded : {false, true}) {
    for (const bool frees_buckets : {false, true}) {
      if (frees_buckets && !is_sharded) continue;
      comm::run_ranks(3, [&](const std::shared_ptr<comm::ThreadRank>& rank) {
        const auto parameters = parameters_of(3);
        const ParameterLayout layout(parameters, kOneParameterEach);
        const Ownership ownership = is_sharded ? Ownership::sharded(layout, *rank) : Ownership::replicated(layout);
        GradientReducer reducer(layout, ownership, rank, {.frees_buckets = frees_buckets});
        for (int step = 0; step < 2; ++step) {
          reducer.zero();
          reduce(reducer, loss_of(parameters, rank->rank() + 1 + step));
          double squares = 0;
          for (const ParameterLayout::Entry& entry : layout.entries()) {
            const double number = static_cast<double>(entry.bucket + 1);
            const double sum = number * (6 + 3 * step);
            at::Tensor expected = at::zeros({layout.buckets()[entry.bucket].size});
            ParameterLayout::view(expected, entry).fill_(sum);
            EXPECT_TRUE(reducer.gradients()[entry.bucket].equal(ownership.own(expected, entry.bucket)))
                << "rank " << rank->rank() << ", bucket " << entry.bucket << ", step " << step;
            squares += 20 * sum * sum;
          }
          EXPECT_NEAR(reducer.norm() / std::sqrt(squares), 1, 1e-6);
        }
      });
    }
  }
}

TEST(GradientReducer, BeginsToReduceWhileBackwardRuns) {
  const auto parameters = parameters_of(3);
  const ParameterLayout layout(parameters, kOneParameterEach);
  const auto rank = std::make_shared<RecordingRank>();
  GradientReducer reducer(layout, Ownership::replicated(layout), rank);
  reducer.zero();
  reducer.begin_pass(true);
  loss_of(parameters).backward();
  EXPECT_EQ(rank->begun.size(), 3U) << "before the end of the pass";
  reducer.end_pass();
  reducer.finish();
  EXPECT_EQ(rank->begun.size(), 3U);
  EXPECT_EQ(rank->under_way, 0);
}

// Bucket 1, the only layer of which is the first of the network, is complete last. Before anybody knows it, it is
// expected first.
TEST(GradientReducer, TakesTheOrderInWhichTheFirstPassCompletedThem) {
  const at::Tensor first = at::full({1, 4}, 0.5).requires_grad_(), last = at::full({4, 1}, 0.5).requires_grad_();
  const ParameterLayout layout({{"last", last}, {"first", first}}, kOneParameterEach);
  const auto rank = std::make_shared<RecordingRank>();
  GradientReducer reducer(layout, Ownership::replicated(layout), rank);
  for (int pass = 0; pass < 2; ++pass) {
    rank->begun.clear();
    reducer.zero();
    reduce(reducer, at::matmul(at::tanh(first), last).sum());
    if (pass == 0) {
      EXPECT_THAT(rank->begun, ElementsAre("the sum of gradients 2 of 2", "the sum of gradients 1 of 2"));
    } else {
      EXPECT_THAT(rank->begun, ElementsAre("the sum of gradients 1 of 2", "the sum of gradients 2 of 2"));
    }
  }
}

// Ranks on which other layers are complete first would otherwise wait for each other, or sum different buckets.
TEST(GradientReducer, ARankWhoseBackwardTakesAnotherOrderSumsTheSameBuckets) {
  comm::run_ranks(2, [](const std::shared_ptr<comm::ThreadRank>& rank) {
    const at::Tensor a = at::full({3, 3}, 0.5).requires_grad_(), b = at::full({3, 3}, 0.5).requires_grad_();
    const ParameterLayout layout({{"a", a}, {"b", b}}, kOneParameterEach);
    GradientReducer reducer(layout, Ownership::replicated(layout), rank);
    const at::Tensor& early = rank->is_root() ? a : b;
    const at::Tensor& late = rank->is_root() ? b : a;
    for (int step = 0; step < 3; ++step) {
      reducer.zero();
      // The gradient of `early` is the sum of columns of `late`, and the other way round: all are 1.5.
      reduce(reducer, at::matmul(early, late).sum());
      for (const at::Tensor& gradient : reducer.gradients()) {
        EXPECT_TRUE(gradient.narrow(0, 0, 9).eq(3).all().item<bool>()) << "step " << step;
      }
    }
  });
}

TEST(GradientReducer, FewBucketsAreUnderWayWhereTheyAreFreed) {
  const auto parameters = parameters_of(9);
  const ParameterLayout layout(parameters, kOneParameterEach);
  for (const bool frees_buckets : {false, true}) {
    const auto rank = std::make_shared<RecordingRank>();
    GradientReducer reducer(layout, Ownership::replicated(layout), rank, {.frees_buckets = frees_buckets});
    reducer.zero();
    reduce(reducer, loss_of(parameters));
    EXPECT_EQ(rank->begun.size(), 9U);
    EXPECT_EQ(rank->most_under_way, frees_buckets ? static_cast<int>(GradientReducer::kMaxInFlight) : 9);
    EXPECT_EQ(parameters[0].tensor.grad().defined(), !frees_buckets);
  }
}

TEST(GradientReducer, NamesParametersThatThePassDidNotReach) {
  auto parameters = parameters_of(2);
  const ParameterLayout layout(parameters, kOneParameterEach);
  const auto rank = std::make_shared<RecordingRank>();
  GradientReducer reducer(layout, Ownership::replicated(layout), rank);
  reducer.zero();
  reduce(reducer, parameters[1].tensor.sum());
  EXPECT_THAT(reducer.unused_parameters(), ElementsAre("weight0"));
  EXPECT_EQ(rank->begun.size(), 2U) << "other ranks may have reached them";
  reduce(reducer, loss_of(parameters));
  EXPECT_THAT(reducer.unused_parameters(), ElementsAre());
}

TEST(GradientReducer, ScalesTheSums) {
  const auto parameters = parameters_of(2);
  const ParameterLayout layout(parameters);
  GradientReducer reducer(layout, Ownership::replicated(layout), std::make_shared<RecordingRank>());
  reducer.zero();
  reduce(reducer, loss_of(parameters));
  const double norm = reducer.norm();
  EXPECT_NEAR(norm, std::sqrt(20.0 * (1 + 4)), 1e-4);
  reducer.scale(0.25);
  EXPECT_NEAR(reducer.norm(), norm / 4, 1e-5);
}

TEST(GradientReducer, LeavesAutogradAsItWasWhenItIsDestroyed) {
  const auto parameters = parameters_of(1);
  const ParameterLayout layout(parameters);
  const auto rank = std::make_shared<RecordingRank>();
  { const GradientReducer reducer(layout, Ownership::replicated(layout), rank); }
  loss_of(parameters).backward();
  EXPECT_THAT(rank->begun, ElementsAre());
}

}  // namespace
}  // namespace lockstep::sharding
