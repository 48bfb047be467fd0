#include "lockstep/core/memory_limit.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <fstream>
#include <string>

namespace lockstep::core {
namespace {

namespace fs = std::filesystem;

class MemoryLimit : public testing::Test {
 protected:
  MemoryLimit() { write("proc/meminfo", "MemTotal:       8000 kB\nMemFree:          10 kB\nMemAvailable:   20 kB\n"); }
  ~MemoryLimit() override { fs::remove_all(root_); }

  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  const fs::path root_ = fs::temp_directory_path() / ("memory_limit_test_" + std::to_string(::getpid()));
};

TEST_F(MemoryLimit, IsTheHostsWithoutAGroup) {
  EXPECT_EQ(memory_limit(root_), 8000U << 10);
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(memory_limit(root_), 8000U << 10);
}

TEST_F(MemoryLimit, IsTheLowestOfTheGroupAndThoseAboveIt) {
  write("proc/self/cgroup", "0::/slurm/job_1/step_0\n");
  write("sys/fs/cgroup/slurm/job_1/memory.max", "3000\n");
  write("sys/fs/cgroup/slurm/job_1/step_0/memory.max", "max\n");
  EXPECT_EQ(memory_limit(root_), 3000U);
  write("sys/fs/cgroup/slurm/job_1/step_0/memory.max", "2000\n");
  EXPECT_EQ(memory_limit(root_), 2000U);
}

TEST_F(MemoryLimit, IsTheContainersWhereTheGroupIsNotSeen) {
  write("proc/self/cgroup", "0::/../elsewhere\n");
  write("sys/fs/cgroup/memory.max", "5000\n");
  EXPECT_EQ(memory_limit(root_), 5000U);
}

TEST_F(MemoryLimit, KnowsVersionOneOfControlGroups) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a/b\n");
  write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000\n");
  EXPECT_EQ(memory_limit(root_), 4000U);
}

TEST(MemoryLimitOfThisHost, IsKnown) { EXPECT_GT(memory_limit(), 1U << 20); }

}  // namespace
}  // namespace lockstep::core
