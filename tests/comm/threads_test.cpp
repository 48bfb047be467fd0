#include "lockstep/comm/threads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace lockstep::comm {
namespace {

// Code that is compiled without OpenMP runs at::parallel_for() on one thread, whatever number is set.
TEST(ComputeThreads, LoopsRunOnAsManyAsAreSet) {
  const int before = at::get_num_threads();
  const std::shared_ptr<Communicator> alone = make_communicator();
  for (const std::int64_t threads : {3, 1}) {
    set_own_compute_threads(threads, *alone);
    std::vector<std::thread::id> ids(3);
    at::parallel_for(0, 3, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ids[static_cast<std::size_t>(i)] = std::this_thread::get_id();
    });
    EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), static_cast<std::size_t>(threads));
  }
  at::set_num_threads(before);
}

}  // namespace
}  // namespace lockstep::comm
