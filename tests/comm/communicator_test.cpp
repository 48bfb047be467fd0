#include "lockstep/comm/communicator.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cstdlib>

#include "lockstep/comm/mpi/mpi_communicator.h"
#include "lockstep/comm/nccl/nccl_version.h"
#include "lockstep/core/launch_environment.h"

namespace lockstep::comm {
namespace {

TEST(Communicator, AProcessAloneIsRankZeroOfOne) {
  if (core::LaunchEnvironment().launched_by_mpi()) GTEST_SKIP() << "started by an MPI launcher";
  const auto communicator = make_communicator();
  EXPECT_EQ(communicator->world_size(), 1);
  EXPECT_TRUE(communicator->is_root());
  EXPECT_GE(communicator->cores_per_rank(), 1);
  at::Tensor values = at::arange(3, at::kFloat);
  communicator->all_reduce_sum(values);
  EXPECT_TRUE(values.equal(at::arange(3, at::kFloat)));
}

TEST(Communicator, AFailureOfTheOnlyRankIsItsOwn) {
  const auto communicator = make_communicator();
  EXPECT_THROW(run_on_all(*communicator, [] { throw InputError("reason"); }), InputError);
  EXPECT_NO_THROW(run_on_all(*communicator, [] {}));
}

TEST(Communicator, SeveralTasksOfSrunWithoutMpiAreRefused) {
  if (core::LaunchEnvironment().launched_by_mpi()) GTEST_SKIP() << "started by an MPI launcher";
  ::setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  EXPECT_THAT([] { make_communicator(); }, testing::ThrowsMessage<InputError>(testing::HasSubstr("--mpi=pmix")));
  ::setenv("SLURM_STEP_NUM_TASKS", "1", 1);
  EXPECT_EQ(make_communicator()->world_size(), 1);
  ::unsetenv("SLURM_STEP_NUM_TASKS");
}

TEST(Communicator, LibrariesTellTheirVersions) {
  EXPECT_THAT(nccl_library_version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(mpi_library_version(), testing::Not(testing::IsEmpty()));
}

}  // namespace
}  // namespace lockstep::comm
