#include "lockstep/core/worker_pool.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace lockstep::core {
namespace {

TEST(WorkerPool, HasTheThreadsAskedForOrOneACore) {
  EXPECT_EQ(WorkerPool(1).num_threads(), 1U);
  EXPECT_EQ(WorkerPool(3).num_threads(), 3U);
  EXPECT_EQ(WorkerPool(0).num_threads(), std::max(1U, std::thread::hardware_concurrency()));
}

TEST(WorkerPool, RunsTasksInTheirOrder) {
  WorkerPool pool(1);
  std::vector<int> run;
  for (int i = 0; i < 5; ++i) pool.submit([&run, i] { run.push_back(i); });
  EXPECT_TRUE(run.empty());  // the pool has no thread of its own
  while (pool.run_one_task()) {
  }
  EXPECT_EQ(run, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_FALSE(pool.run_one_task());
}

TEST(WorkerPool, EndsAfterTheTaskAtWorkAndForgetsTheOthers) {
  std::promise<void> begun, may_end;
  std::atomic<int> ended = 0;
  std::jthread release;
  {
    WorkerPool pool(2);
    pool.submit([&] {
      begun.set_value();
      may_end.get_future().wait();
      ++ended;
    });
    begun.get_future().wait();
    pool.submit([&] { ended += 100; });
    // The pool is destroyed while the first task runs, and must wait for it.
    release = std::jthread([&may_end] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      may_end.set_value();
    });
  }
  EXPECT_EQ(ended, 1);
}

}  // namespace
}  // namespace lockstep::core
