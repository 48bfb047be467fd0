#include "lockstep/comm/stop_requests.h"

#include <ATen/ATen.h>
#include <fmt/chrono.h>
#include <gmock/gmock.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <set>

#include "comm/thread_ranks.h"
#include "lockstep/core/atomic_file.h"

namespace lockstep::comm {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using std::chrono::system_clock;
using testing::ThrowsMessage;
using Sums = std::array<double, StopRequests::kReasons>;

// Limits the wait until a file is seen to 60 seconds; it usually takes one.
constexpr std::chrono::milliseconds kPollInterval{50};
constexpr int kLooks = 1200;

class Stopping : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override {
    fs::remove_all(folder_);
    ::unsetenv("SLURM_JOB_END_TIME");
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("stop_requests_{}", ::getpid());
  const fs::path file_ = folder_ / "STOP";
  const std::shared_ptr<Communicator> alone_ = make_communicator();
};

TEST_F(Stopping, WithoutARequestNobodyStops) {
  StopRequests requests(alone_, {.file = file_, .end = system_clock::now() + seconds(3600)});
  EXPECT_EQ(requests.local_state(), Sums{});
  EXPECT_FALSE(requests.agree());
  EXPECT_NO_THROW(requests.check("nothing was saved"));
}

TEST_F(Stopping, ASignalStopsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        core::install_stop_signals();
        StopRequests requests(make_communicator());
        const bool was_asked = requests.agree();
        std::raise(SIGUSR1);
        EXPECT_THAT([&] { requests.check("all is saved"); },
                    ThrowsMessage<core::Stopped>("stopped: SIGUSR1; all is saved"));
        ::_exit(was_asked || HasFailure() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Stopping, AllRanksSayHowManyOfThemHaveTheSignal) {
  run_ranks(4, [](const auto& rank) {
    StopRequests requests(rank);
    requests.apply_sums(Sums{2, 0, 0, 0, 0});
    EXPECT_EQ(requests.reason(), "SIGTERM on 2 of 4 ranks");
    requests.apply_sums(Sums{0, 4, 0, 0, 0});
    EXPECT_EQ(requests.reason(), "SIGTERM on 2 of 4 ranks") << "the first reason stays";
    EXPECT_TRUE(requests.agreed());
  });
}

TEST_F(Stopping, AllRanksLearnOfTheFileAtTheSamePoint) {
  std::mutex mutex;
  std::set<int> points;
  run_ranks(3, [&](const auto& rank) {
    StopRequests requests(rank, {.file = file_});
    EXPECT_FALSE(requests.agree());
    rank->barrier();
    if (rank->is_root()) core::write_file(file_, "");
    int point = 0;
    for (bool agreed = false; !agreed && point < kLooks; ++point) {
      std::this_thread::sleep_for(kPollInterval);
      requests.begin_synchronize();
      EXPECT_FALSE(requests.agreed());
      agreed = requests.finish_synchronize();
    }
    EXPECT_TRUE(requests.agreed());
    {
      const std::lock_guard lock(mutex);
      points.insert(point);
    }
    EXPECT_THAT([&] { requests.stop("all is saved"); },
                ThrowsMessage<core::Stopped>("stopped: the file " + file_.string() + "; all is saved"));
    rank->barrier();
    EXPECT_FALSE(StopRequests(rank, {.file = file_}).agree()) << "it is honoured once";
    EXPECT_TRUE(fs::exists(folder_ / "STOPPED"));
  });
  EXPECT_EQ(points.size(), 1U);
}

TEST_F(Stopping, TheFileIsLookedForOnceASecond) {
  StopRequests requests(alone_, {.file = file_});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(requests.agree());
  core::write_file(file_, "");
  bool is_seen = false;
  for (int look = 0; !is_seen && look < kLooks; ++look) {
    is_seen = requests.agree();
    if (!is_seen) std::this_thread::sleep_for(kPollInterval);
  }
  EXPECT_TRUE(is_seen);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, seconds(1));
}

TEST_F(Stopping, AFileThatWasNoReasonStays) {
  StopRequests requests(alone_, {.file = file_});
  requests.apply_sums(Sums{0, 1, 0, 0, 0});
  core::write_file(file_, "");
  EXPECT_THROW(requests.stop("all is saved"), core::Stopped);
  EXPECT_TRUE(fs::exists(file_));
}

TEST_F(Stopping, ClearsWhatAnEarlierRunLeft) {
  core::write_file(folder_ / "STOPPED", "");
  core::write_file(file_, "");
  StopRequests requests(alone_, {.file = file_});
  requests.clear_old();
  EXPECT_FALSE(fs::exists(folder_ / "STOPPED"));
  EXPECT_TRUE(requests.agree()) << "the new request counts";
  EXPECT_NO_THROW(requests.clear_old());
  EXPECT_NO_THROW(StopRequests(alone_).clear_old());
}

TEST_F(Stopping, StopsInTimeToSave) {
  const auto end = system_clock::now() + seconds(3600);
  StopRequests requests(alone_, {.end = end});
  EXPECT_FALSE(requests.agree());
  requests.set_time_to_save(seconds(3582));
  EXPECT_TRUE(requests.agree());
  EXPECT_EQ(requests.reason(),
            fmt::format("the job's time ends at {:%H:%M:%S}", fmt::localtime(system_clock::to_time_t(end))));
}

TEST_F(Stopping, TheTimeIsThatOfRankZero) {
  const auto end = system_clock::now() + seconds(10);
  std::mutex mutex;
  std::set<std::string> reasons;
  run_ranks(2, [&](const auto& rank) {
    StopRequests requests(rank, {.end = end + seconds(rank->is_root() ? 0 : 3600)});
    EXPECT_TRUE(requests.agree());
    const std::lock_guard lock(mutex);
    reasons.insert(requests.reason());
  });
  EXPECT_EQ(reasons.size(), 1U);
}

TEST_F(Stopping, IsSummedTogetherWithOtherNumbers) {
  run_ranks(2, [](const std::shared_ptr<ThreadRank>& rank) {
    StopRequests requests(rank, {.end = rank->is_root() ? std::optional(system_clock::now()) : std::nullopt});
    const auto own = requests.local_state();
    at::Tensor numbers = at::zeros({1 + static_cast<std::int64_t>(own.size())}, at::kDouble);
    numbers[0] = 0.5;
    std::copy(own.begin(), own.end(), numbers.data_ptr<double>() + 1);
    rank->all_reduce_sum(numbers);
    requests.apply_sums({numbers.data_ptr<double>() + 1, own.size()});
    EXPECT_TRUE(requests.agreed());
    EXPECT_EQ(numbers[0].item<double>(), 1);
  });
}

TEST_F(Stopping, TheJobEndsWhenSlurmOrTheUserSaysWhicheverIsFirst) {
  EXPECT_EQ(end_of_job(0), std::nullopt);
  const auto in_an_hour = system_clock::to_time_t(system_clock::now()) + 3600;
  ::setenv("SLURM_JOB_END_TIME", std::to_string(in_an_hour).c_str(), 1);
  EXPECT_EQ(end_of_job(0), system_clock::from_time_t(in_an_hour));
  EXPECT_EQ(end_of_job(100), system_clock::from_time_t(in_an_hour));
  EXPECT_LT(end_of_job(50), system_clock::now() + std::chrono::minutes(50));
  EXPECT_GT(end_of_job(50), system_clock::now() + std::chrono::minutes(40));
}

TEST_F(Stopping, AnEndThatIsNoTimeAheadDoesNotCount) {
  for (const char* malformed : {"", "soon", "12:00", "-5", "1700000000", "99999999999999999999", "3e9"}) {
    ::setenv("SLURM_JOB_END_TIME", malformed, 1);
    EXPECT_EQ(end_of_job(0), std::nullopt) << malformed;
    EXPECT_NE(end_of_job(60), std::nullopt) << malformed;
  }
}

TEST(RunOnAll, OneRankThatStopsStopsAll) {
  run_ranks(3, [](const auto& rank) {
    const auto work = [&] {
      if (rank->rank() > 0) throw core::Stopped("of rank " + std::to_string(rank->rank()));
    };
    EXPECT_THAT([&] { run_on_all(*rank, work); }, ThrowsMessage<core::Stopped>("of rank 1"));
  });
}

TEST(RunOnAll, AFailureGoesBeforeAStop) {
  run_ranks(3, [](const auto& rank) {
    const auto work = [&] {
      if (rank->rank() == 0) throw core::Stopped("stopped");
      if (rank->rank() == 1) throw InputError("failed");
    };
    if (rank->rank() == 1) {
      EXPECT_THAT([&] { run_on_all(*rank, work); }, ThrowsMessage<InputError>("failed"));
    } else {
      EXPECT_THROW(run_on_all(*rank, work), PeerFailed);
    }
  });
}

}  // namespace
}  // namespace lockstep::comm
