#include "lockstep/core/ordered_pipeline.h"

#include <gtest/gtest.h>
#include <atomic>
#include <chrono>
#include <random>
#include <set>
#include <stdexcept>

namespace lockstep::core {
namespace {

TEST(OrderedPipeline, KeepsTheOrder) {
  for (const std::size_t threads : {1, 2, 5}) {
    std::vector<int> consumed;
    WorkerPool pool(threads);
    OrderedPipeline<int, int> pipeline(
        pool, 10,
        [](int i) {
          std::this_thread::sleep_for(std::chrono::microseconds(std::minstd_rand(static_cast<unsigned>(i))() % 50));
          return 2 * i;
        },
        [&](int i) { consumed.push_back(i); });
    for (int i = 0; i < 500; ++i) pipeline.push(i);
    pipeline.finish();
    ASSERT_EQ(consumed.size(), 500U);
    for (int i = 0; i < 500; ++i) ASSERT_EQ(consumed[static_cast<std::size_t>(i)], 2 * i);
  }
}

TEST(OrderedPipeline, WorksInTheCallersThreadToo) {
  std::mutex mutex;
  std::set<std::thread::id> alone, together;
  const auto run = [&](std::size_t threads, std::set<std::thread::id>& ids) {
    WorkerPool pool(threads);
    OrderedPipeline<int, int> pipeline(
        pool, 10,
        [&](int i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          const std::lock_guard lock(mutex);
          ids.insert(std::this_thread::get_id());
          return i;
        },
        [](int) {});
    for (int i = 0; i < 60; ++i) pipeline.push(i);
    pipeline.finish();
  };
  run(1, alone);
  run(3, together);
  EXPECT_EQ(alone, std::set{std::this_thread::get_id()});
  EXPECT_EQ(together.size(), 3U);
  EXPECT_TRUE(together.contains(std::this_thread::get_id()));
}

TEST(OrderedPipeline, RethrowsTheFirstFailure) {
  for (const std::size_t threads : {1, 4}) {
    int consumed = 0;
    WorkerPool pool(threads);
    OrderedPipeline<int, int> pipeline(
        pool, 10,
        [](int i) {
          if (i >= 20) throw std::runtime_error(std::to_string(i));
          return i;
        },
        [&](int) { ++consumed; });
    try {
      for (int i = 0; i < 100; ++i) pipeline.push(i);
      pipeline.finish();
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "20");
    }
    EXPECT_EQ(consumed, 20);
  }
}

TEST(OrderedPipeline, PushesIntoAnotherOnTheSamePool) {
  for (const std::size_t threads : {1, 2, 5}) {
    WorkerPool pool(threads);
    std::vector<int> consumed;
    OrderedPipeline<int, int> second(
        pool, 10, [](int i) { return i + 1; }, [&](int i) { consumed.push_back(i); });
    OrderedPipeline<int, int> first(
        pool, 10, [](int i) { return 10 * i; },
        [&](int i) {
          for (int k = 0; k < 3; ++k) second.push(i + k);
        });
    for (int i = 0; i < 300; ++i) first.push(i);
    first.finish();
    second.finish();
    std::vector<int> expected;
    for (int i = 0; i < 300; ++i) {
      for (int k = 0; k < 3; ++k) expected.push_back(10 * i + k + 1);
    }
    ASSERT_EQ(consumed, expected);
  }
}

}  // namespace
}  // namespace lockstep::core
