#include "cli/doctor/advice.h"

#include <gmock/gmock.h>

namespace lockstep::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// Two hosts with two ranks each; each rank has two of its host's four cores. Nothing is wrong.
std::vector<RankFacts> healthy_ranks() {
  std::vector<RankFacts> ranks(4);
  for (int i = 0; i < 4; ++i) {
    RankFacts& rank = ranks[static_cast<std::size_t>(i)];
    rank.rank = i;
    rank.placement = {i < 2 ? "node1" : "node2", {i % 2 * 2, i % 2 * 2 + 1}, 2};
    rank.host_cores = 4;
    rank.versions = {{"lockstep", "1"}, {"MPI", "4"}};
    rank.shared_memory_bytes = rank.free_shared_memory_bytes = std::uint64_t{1} << 30;
    rank.lockable_bytes = -1;
    rank.folder = "/work";
  }
  return ranks;
}

TEST(DoctorAdvice, NoneIfNothingIsWrong) {
  auto ranks = healthy_ranks();
  EXPECT_THAT(advise(ranks), IsEmpty());
  for (RankFacts& rank : ranks) {
    rank.slurm_ntasks = std::to_string(4);
    rank.slurm_cpus_per_task = std::to_string(2);
    rank.launcher_cores = {0, 1, 2, 3};
    rank.lockable_bytes = 8 << 20;  // small, but there is no InfiniBand
    rank.clock_ahead_s = -0.3;
  }
  EXPECT_THAT(advise(ranks), IsEmpty());
}

TEST(DoctorAdvice, AProcessThatSlurmsTasksBecame) {
  std::vector<RankFacts> ranks(1, healthy_ranks().front());
  ranks[0].slurm_ntasks = "1";
  EXPECT_THAT(advise(ranks), IsEmpty());
  ranks[0].slurm_ntasks = "4";
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(HasSubstr("Slurm has 4 tasks"), HasSubstr("srun --mpi=pmix"))));
}

TEST(DoctorAdvice, AllRanksOnOneCore) {
  auto ranks = healthy_ranks();
  ranks[0].placement.cores = ranks[1].placement.cores = {2};
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(StartsWith("node1: all 2 ranks may use only core 2 of 4"),
                                               HasSubstr("--bind-to none"))));
  ranks[0].host_cores = ranks[1].host_cores = 1;  // the host has only one core
  EXPECT_THAT(advise(ranks), ElementsAre(StartsWith("node1: 2 ranks compute with 4 threads on 1 core (2)")));
}

TEST(DoctorAdvice, MoreThreadsThanCores) {
  auto ranks = healthy_ranks();
  for (RankFacts& rank : ranks) rank.placement.threads = 4;
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(StartsWith("node1: 2 ranks compute with 8 threads on 4 cores (0-3)"),
                                               HasSubstr("at most 2"))));
}

TEST(DoctorAdvice, RanksThatMpirunBindsToSomeOfItsCores) {
  auto ranks = healthy_ranks();
  for (RankFacts& rank : ranks) rank.launcher_cores = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(StartsWith("node1: mpirun may use 8 cores"),
                                               HasSubstr("4 of them (0-3)"), HasSubstr("(and 1 more host)"))));
}

TEST(DoctorAdvice, CoresThatSrunDidNotTakeOver) {
  auto ranks = healthy_ranks();
  for (RankFacts& rank : ranks) rank.slurm_cpus_per_task = "8";
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(StartsWith("rank 0 on node1: may use 2 of the 8 cores"),
                                               HasSubstr("--cpus-per-task"), HasSubstr("(and 3 more ranks)"))));
}

TEST(DoctorAdvice, RanksOfUnequalThreads) {
  auto ranks = healthy_ranks();
  ranks[3].placement.threads = 1;
  EXPECT_THAT(advise(ranks),
              ElementsAre(StartsWith("rank 3 on node2 computes with 1 thread, rank 0 on node1 with 2:")));
}

TEST(DoctorAdvice, SmallSharedMemory) {
  auto ranks = healthy_ranks();
  ranks[2].free_shared_memory_bytes = ranks[3].free_shared_memory_bytes = 31 << 20;
  EXPECT_THAT(advise(ranks),
              ElementsAre(StartsWith("node2: /dev/shm has 31 MiB free of 1024, and 2 ranks may need 32")));
  for (RankFacts& rank : ranks) rank.free_shared_memory_bytes = 100 << 20;
  EXPECT_THAT(advise(ranks), IsEmpty());
  for (RankFacts& rank : ranks) rank.gpus = {{.address = "0000:3b:00.0"}};  // NCCL needs more
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(StartsWith("node1:"), HasSubstr("need 128"))));
}

TEST(DoctorAdvice, LittleLockableMemoryWithInfiniband) {
  auto ranks = healthy_ranks();
  for (RankFacts& rank : ranks) {
    rank.adapters = {{.name = "eth0"}, {.name = "mlx5_0", .is_infiniband = true}};
    rank.lockable_bytes = 8 << 20;
  }
  EXPECT_THAT(advise(ranks),
              ElementsAre(AllOf(StartsWith("node1: 8 MiB of memory may be locked"), HasSubstr("ulimit -l unlimited"))));
  for (RankFacts& rank : ranks) rank.lockable_bytes = -1;
  EXPECT_THAT(advise(ranks), IsEmpty());
}

TEST(DoctorAdvice, VersionsThatDiffer) {
  auto ranks = healthy_ranks();
  ranks[2].versions[1].second = ranks[3].versions[1].second = "5";
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(StartsWith("rank 2 on node2 has MPI 5, rank 0 on node1 has 4:"),
                                               HasSubstr("(and 1 more rank)"))));
}

TEST(DoctorAdvice, ALibraryThatIsNotTheBuildsOwn) {
  auto ranks = healthy_ranks();
  ranks[1].versions.clear();
  ranks[1].wrong_library = "built with NCCL 1, but 2 is loaded";
  EXPECT_THAT(advise(ranks), ElementsAre("rank 1 on node1: built with NCCL 1, but 2 is loaded"));
}

TEST(DoctorAdvice, LocksThatDoNotHold) {
  auto ranks = healthy_ranks();
  ranks[1].file_locks.flock = "No locks available";
  EXPECT_THAT(advise(ranks),
              ElementsAre(StartsWith("rank 1 on node1: flock does not work in /work (No locks available)")));
  ranks = healthy_ranks();
  ranks[1].file_locks.fcntl = "No locks available";
  EXPECT_THAT(advise(ranks), ElementsAre(AllOf(StartsWith("rank 1 on node1: fcntl's locks do not work in /work"),
                                               HasSubstr("HDF5_USE_FILE_LOCKING=FALSE"))));
  ranks[1].hdf5_use_file_locking = "FALSE";
  EXPECT_THAT(advise(ranks), IsEmpty());
}

TEST(DoctorAdvice, ClocksThatDiffer) {
  auto ranks = healthy_ranks();
  ranks[2].clock_ahead_s = -61.25;
  EXPECT_THAT(advise(ranks),
              ElementsAre(StartsWith("rank 2 on node2: its clock is 61.2 s behind that of rank 0 on node1")));
}

TEST(DoctorAdvice, EveryFaultHasALine) {
  auto ranks = healthy_ranks();
  ranks[0].file_locks = {"no", "no"};
  ranks[1].clock_ahead_s = 3;
  ranks[2].placement.threads = 5;
  EXPECT_EQ(advise(ranks).size(), 5U);  // including too many threads and unequal numbers of threads
}

}  // namespace
}  // namespace lockstep::cli
