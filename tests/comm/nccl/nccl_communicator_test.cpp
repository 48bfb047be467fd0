#include "comm/nccl/nccl_communicator.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <latch>

#include "comm/nccl/stand_in_cuda.h"
#include "comm/nccl/stand_in_nccl.h"
#include "comm/thread_ranks.h"
#include "lockstep/comm/nccl/nccl_version.h"

// Tests NcclCommunicator on stand-ins for NCCL and CUDA, whose ranks are threads and whose device memory is host
// memory.
namespace lockstep::comm {
namespace {

using testing::HasSubstr;

constexpr std::chrono::seconds kForEver{0};

// Returns a view of the host tensor `values` that LibTorch takes for device memory.
at::Tensor on_device(const at::Tensor& values) {
  const at::Device device(at::kCUDA, 0);
  return at::for_blob(values.data_ptr(), values.sizes())
      .deleter([values](void*) {})
      .options(values.options().device(device))
      .target_device(device)
      .make_tensor();
}

// A rank as the code under test sees it: the communicator, and a stream on which its model computes.
struct Rank {
  explicit Rank(std::shared_ptr<ThreadRank> its_host, std::chrono::seconds timeout = kForEver)
      : host(std::move(its_host)) {
    cudaStreamCreateWithPriority(&compute, cudaStreamNonBlocking, 0);
    nccl = std::make_unique<NcclCommunicator>(
        host, 0, [this] { return compute; }, timeout);
  }
  ~Rank() {
    stand_in::drain(compute);
    nccl.reset();
    cudaStreamDestroy(compute);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  // Returns the result of `collective` on `values`, which a slow kernel writes and another one reads.
  at::Tensor after(const at::Tensor& values, const std::function<void(const at::Tensor&)>& collective) {
    const at::Tensor memory = at::zeros_like(values);
    at::Tensor result;
    stand_in::run_on(compute, [&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      memory.copy_(values);
    });
    collective(on_device(memory));
    stand_in::run_on(compute, [&] { result = memory.clone(); });
    stand_in::drain(compute);
    return result;
  }

  std::shared_ptr<ThreadRank> host;
  cudaStream_t compute = nullptr;
  std::unique_ptr<NcclCommunicator> nccl;
};

class NcclCommunicatorOf : public testing::TestWithParam<int> {};

// Returns small whole numbers, which no type rounds.
at::Tensor values_of(int rank, std::int64_t size, at::ScalarType type) {
  return (at::arange(size, at::kLong).remainder(7) * (rank + 1)).to(type);
}

TEST_P(NcclCommunicatorOf, RanksComputesWhatAPlainSumGives) {
  const int ranks = GetParam();
  run_ranks(ranks, [&](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble, at::kLong}) {
      for (const std::int64_t size : {0, 1, 15, 16, 33, 192, 1000, 4801}) {
        const at::Tensor mine = values_of(host->rank(), size, type);
        at::Tensor sum = at::zeros_like(mine);
        for (int other = 0; other < ranks; ++other) sum += values_of(other, size, type);
        const Range part = range_of(size, host->rank(), ranks);
        const auto own = [&](const at::Tensor& all) { return all.narrow(0, part.begin, part.size()); };
        const auto what = [&] { return testing::Message() << "of " << size << " " << toString(type); };

        const at::Tensor reduced =
            rank.after(mine, [&](const at::Tensor& t) { rank.nccl->begin_all_reduce_sum(t, "a sum")->wait(); });
        EXPECT_TRUE(reduced.equal(sum)) << what();
        const at::Tensor at_once = rank.after(mine, [&](const at::Tensor& t) { rank.nccl->all_reduce_sum(t); });
        EXPECT_TRUE(at_once.equal(sum)) << what();
        const at::Tensor scattered =
            rank.after(mine, [&](const at::Tensor& t) { rank.nccl->begin_reduce_scatter_sum(t, "a sum")->wait(); });
        EXPECT_TRUE(own(scattered).equal(own(sum))) << what();
        const at::Tensor parts = at::zeros_like(mine);
        own(parts).copy_(own(sum));
        const at::Tensor gathered =
            rank.after(parts, [&](const at::Tensor& t) { rank.nccl->begin_all_gather(t, "all")->wait(); });
        EXPECT_TRUE(gathered.equal(sum)) << what();
        const at::Tensor sent = rank.after(mine, [&](const at::Tensor& t) { rank.nccl->broadcast_from_root(t); });
        EXPECT_TRUE(sent.equal(values_of(0, size, type))) << what();
      }
    }
  });
}

TEST_P(NcclCommunicatorOf, RanksKeepsSeveralUnderWayInTheirOrder) {
  run_ranks(GetParam(), [&](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    std::vector<at::Tensor> memory;
    std::vector<std::shared_ptr<PendingCollective>> pending;
    for (int i = 0; i < 20; ++i) {
      memory.push_back(at::full({100}, i + 1, at::kFloat));
      pending.push_back(rank.nccl->begin_all_reduce_sum(on_device(memory.back()), "a sum"));
    }
    for (const auto& collective : pending) collective->wait();
    stand_in::drain(rank.compute);
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(memory[static_cast<std::size_t>(i)].equal(at::full({100}, (i + 1) * GetParam(), at::kFloat)));
    }
  });
}

INSTANTIATE_TEST_SUITE_P(, NcclCommunicatorOf, testing::Values(1, 2, 3, 4), testing::PrintToStringParamName());

TEST(NcclCommunicator, HasAStreamOfTheHighestPriorityOrderedByEventsAlone) {
  run_ranks(2, [](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    stand_in::CallLog log;
    const std::string compute = stand_in::name_of(rank.compute);
    const auto pending = rank.nccl->begin_all_reduce_sum(on_device(at::ones({5})), "a sum");
    ASSERT_EQ(log.calls().size(), 4U);
    const std::string own = log.calls()[1].substr(std::string("hold back ").size());
    EXPECT_THAT(own, testing::EndsWith(" of priority " + std::to_string(stand_in::kHighestPriority)));
    EXPECT_THAT(log.calls(),
                testing::ElementsAre("record " + compute, "hold back " + own, "ncclAllReduce " + own, "record " + own));
    log.clear();
    pending->wait();
    pending->wait();
    EXPECT_THAT(log.calls(), testing::ElementsAre("hold back " + compute));
  });
}

TEST(NcclCommunicator, TheHostDoesNotWaitForTheComputeStream) {
  std::latch released(1);
  std::atomic<int> returned = 0;
  run_ranks(2, [&](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    stand_in::run_on(rank.compute, [&] { released.wait(); });
    const at::Tensor memory = at::ones({40});
    rank.nccl->all_reduce_sum(on_device(memory));
    rank.nccl->begin_all_gather(on_device(memory), "all")->wait();
    rank.nccl->broadcast_from_root(on_device(memory));
    EXPECT_TRUE(memory.equal(at::ones({40})));  // no stream has run anything yet
    if (++returned == 2) released.count_down();
  });
}

TEST(NcclCommunicator, UnevenPartsAreAGroupOfCallsEvenOnesACallOfTheirOwn) {
  run_ranks(3, [](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    const auto names = [&](std::int64_t size) {
      stand_in::CallLog log;
      rank.nccl->begin_reduce_scatter_sum(on_device(at::ones({size})), "a sum")->wait();
      rank.nccl->begin_all_gather(on_device(at::ones({size})), "all")->wait();
      std::vector<std::string> result;
      for (const std::string& call : log.calls()) {
        if (call.starts_with("nccl")) result.push_back(call.substr(0, call.find(' ')));
      }
      return result;
    };
    EXPECT_THAT(names(96), testing::ElementsAre("ncclReduceScatter", "ncclAllGather"));
    EXPECT_THAT(names(97), testing::ElementsAre("ncclReduce", "ncclReduce", "ncclReduce", "ncclBroadcast",
                                                "ncclBroadcast", "ncclBroadcast"));
    EXPECT_THAT(names(16), testing::ElementsAre("ncclReduce", "ncclBroadcast"));  // two ranks own nothing
  });
}

TEST(NcclCommunicator, TensorsOfTheHostGoToTheHostsCommunicator) {
  run_ranks(2, [](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    stand_in::CallLog log;
    at::Tensor values = at::ones({3});
    rank.nccl->all_reduce_sum(values);
    EXPECT_TRUE(values.equal(at::full({3}, 2.0)));
    rank.nccl->begin_all_reduce_sum(values, "a sum")->wait();
    rank.nccl->begin_reduce_scatter_sum(values, "a sum")->wait();
    rank.nccl->begin_all_gather(values, "all")->wait();
    rank.nccl->broadcast_from_root(values);
    rank.nccl->barrier();
    EXPECT_EQ(host->started, 3);
    EXPECT_THAT(log.calls(), testing::IsEmpty());
  });
}

TEST(NcclCommunicator, KeepsATensorThatNobodyWaitsForUntilItIsDone) {
  std::latch released(1);
  run_ranks(1, [&](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    std::atomic<bool> is_freed = false;
    at::Tensor values = at::ones({5});
    const at::Device device(at::kCUDA, 0);
    at::Tensor tensor = at::for_blob(values.data_ptr(), {5})
                            .deleter([&](void*) { is_freed = true; })
                            .options(values.options().device(device))
                            .target_device(device)
                            .make_tensor();
    stand_in::run_on(rank.compute, [&] { released.wait(); });
    rank.nccl->begin_all_reduce_sum(std::move(tensor), "a sum");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(is_freed);
    released.count_down();
    for (int i = 0; i < 3000 && !is_freed; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(is_freed);
  });
}

TEST(NcclCommunicator, IsDestroyedInOrder) {
  run_ranks(2, [](const std::shared_ptr<ThreadRank>& host) { const Rank rank(host); });
  EXPECT_EQ(stand_in::live_communicators(), 0);
}

TEST(NcclCommunicator, RefusesWhatItCannotSum) {
  run_ranks(1, [](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    const at::Tensor values = at::ones({4, 4}, at::kInt);
    EXPECT_THAT([&] { rank.nccl->all_reduce_sum(on_device(values)); },
                testing::ThrowsMessage<Error>(HasSubstr("bf16 or fp16, found Int")));
    at::Tensor gaps = at::for_blob(values.data_ptr(), {4, 2})
                          .strides({4, 1})
                          .options(values.options().device(at::Device(at::kCUDA, 0)))
                          .target_device(at::Device(at::kCUDA, 0))
                          .make_tensor();
    EXPECT_THAT([&] { rank.nccl->all_reduce_sum(gaps); },
                testing::ThrowsMessage<Error>(HasSubstr("found one with gaps on cuda:0")));
  });
}

// Injects a fault until the end of its lifetime.
template <class Fault, class Value>
class During {
 public:
  During(Fault& fault, Value value) : fault_(fault), before_(fault) { fault_ = value; }
  ~During() { fault_ = before_; }
  During(const During&) = delete;
  During& operator=(const During&) = delete;

 private:
  Fault& fault_;
  Value before_;
};

TEST(NcclCommunicator, SaysWhatNcclSaysOfACallThatFails) {
  run_ranks(1, [](const std::shared_ptr<ThreadRank>& host) {
    Rank rank(host);
    rank.nccl->set_activity("step 7");
    const During fault(stand_in::nccl_faults().of_calls, ncclSystemError);
    EXPECT_THAT([&] { rank.nccl->begin_all_reduce_sum(on_device(at::ones({5})), "the sum of gradients 2 of 3"); },
                testing::ThrowsMessage<Error>(testing::AllOf(
                    HasSubstr("step 7: the sum of gradients 2 of 3: ncclAllReduce("),
                    HasSubstr("unhandled system error: the stand-in's detail; NCCL_DEBUG=INFO shows more"))));
  });
}

TEST(NcclCommunicator, RefusesAnotherVersionThanItsHeaders) {
  const During fault(stand_in::nccl_faults().version, 21805);
  EXPECT_THAT([] { nccl_library_version(); },
              testing::ThrowsMessage<Error>(HasSubstr("but 2.18.5 is loaded; remove the other one")));
  run_ranks(1, [](const std::shared_ptr<ThreadRank>& host) {
    EXPECT_THROW(NcclCommunicator(
                     host, 0, [] { return nullptr; }, kForEver),
                 Error);
  });
}

// Failures that no rank waits for end the process, so each test runs in a process of its own.
class NcclWatchdogDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  // Runs one collective of two ranks under the fault that `prepare` injects.
  static void run(const std::function<void()>& prepare, std::chrono::seconds timeout = std::chrono::seconds(1)) {
    run_ranks(2, [&](const std::shared_ptr<ThreadRank>& host) {
      Rank rank(host);
      rank.nccl->set_timeout(timeout);
      rank.nccl->set_activity("step 12");
      host->barrier();
      if (host->is_root()) prepare();
      host->barrier();
      rank.nccl->begin_all_reduce_sum(on_device(at::ones({5})), "the sum of gradients 1 of 3")->wait();
      std::this_thread::sleep_for(std::chrono::seconds(20));
    });
  }
};

TEST_F(NcclWatchdogDeathTest, ACollectiveThatDoesNotEndEndsTheJob) {
  EXPECT_EXIT(run([] { stand_in::nccl_faults().missing_rank = 1; }), testing::ExitedWithCode(EXIT_FAILURE),
              "rank 0 on [^:]+: step 12: the sum of gradients 1 of 3 did not end within collective_timeout_s: 1 s");
}

TEST_F(NcclWatchdogDeathTest, ACollectiveThatDoesNotBeginEndsTheJob) {
  EXPECT_EXIT(run([] { stand_in::nccl_faults().never_on_stream = true; }), testing::ExitedWithCode(EXIT_FAILURE),
              "rank 0 on [^:]+: step 12: the sum of gradients 1 of 3 did not end within collective_timeout_s: 1 s");
}

TEST_F(NcclWatchdogDeathTest, AnErrorThatNcclFindsLaterEndsTheJob) {
  EXPECT_EXIT(run(
                  [] {
                    stand_in::nccl_faults().missing_rank = 1;
                    std::thread([] {
                      std::this_thread::sleep_for(std::chrono::milliseconds(300));
                      stand_in::nccl_faults().asynchronous = ncclRemoteError;
                    }).detach();
                  },
                  std::chrono::seconds(15)),
              testing::ExitedWithCode(EXIT_FAILURE),
              "rank 0 on [^:]+: step 12: the sum of gradients 1 of 3: NCCL: remote process exited");
}

TEST_F(NcclWatchdogDeathTest, AKernelThatFailsEndsTheJob) {
  EXPECT_EXIT(run([] { stand_in::cuda_faults().of_event_query = cudaErrorIllegalAddress; }),
              testing::ExitedWithCode(EXIT_FAILURE), "the sum of gradients 1 of 3: .*an illegal memory access");
}

TEST_F(NcclWatchdogDeathTest, ARankThatDoesNotJoinEndsTheJob) {
  EXPECT_EXIT(run_ranks(2,
                        [](const std::shared_ptr<ThreadRank>& host) {
                          stand_in::nccl_faults().never_on_stream = true;
                          const Rank rank(host, std::chrono::seconds(1));
                        }),
              testing::ExitedWithCode(EXIT_FAILURE), "the start of NCCL did not end within collective_timeout_s: 1 s");
}

}  // namespace
}  // namespace lockstep::comm
