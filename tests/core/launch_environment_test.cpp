#include "lockstep/core/launch_environment.h"

#include <gmock/gmock.h>
#include <map>

#include "lockstep/core/error.h"

namespace lockstep::core {
namespace {

using Launcher = LaunchEnvironment::Launcher;
using Variables = std::map<std::string, std::string>;
using testing::HasSubstr;
using testing::ThrowsMessage;

const Variables kMpirun{{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "3"}, {"PMIX_NAMESPACE", "1234@1"}};
const Variables kSrun{{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "6"}};
const Variables kSlurmPmix{
    {"PMIX_NAMESPACE", "slurm.pmix.17.0"}, {"PMIX_RANK", "1"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}};

LaunchEnvironment environment(Variables variables, const Variables& others = {}) {
  variables.insert(others.begin(), others.end());
  return LaunchEnvironment([variables = std::move(variables)](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

void expect_ranks(const LaunchEnvironment& environment, Launcher launcher, std::uint64_t rank, std::uint64_t size) {
  const auto ranks = environment.ranks();
  ASSERT_TRUE(ranks.has_value());
  EXPECT_EQ(ranks->launcher, launcher);
  EXPECT_EQ(ranks->rank, rank);
  EXPECT_EQ(ranks->size, size);
}

TEST(LaunchEnvironment, KnowsTheLaunchers) {
  expect_ranks(environment(kMpirun), Launcher::kOpenMpi, 2, 3);
  expect_ranks(environment({{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}}), Launcher::kPmi, 0, 4);
  expect_ranks(environment(kSlurmPmix), Launcher::kSlurmPmix, 1, 4);
  expect_ranks(environment(kSrun), Launcher::kSrun, 5, 6);
  // The environment of a batch script's shell, without srun.
  EXPECT_FALSE(environment({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}).ranks());
}

TEST(LaunchEnvironment, TheInnermostLauncherCounts) {
  expect_ranks(environment(kMpirun, kSrun), Launcher::kOpenMpi, 2, 3);
  expect_ranks(environment(kSlurmPmix, {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}),
               Launcher::kSlurmPmix, 1, 4);
  expect_ranks(environment(kSlurmPmix, {{"PMI_RANK", "2"}, {"PMI_SIZE", "5"}}), Launcher::kPmi, 2, 5);
}

TEST(LaunchEnvironment, KnowsWhichLaunchersConnectRanks) {
  EXPECT_TRUE(environment(kMpirun).launched_by_mpi());
  EXPECT_TRUE(environment(kSlurmPmix).launched_by_mpi());
  EXPECT_TRUE(environment({{"PMI_RANK", "0"}}).launched_by_mpi());
  EXPECT_FALSE(environment(kSrun).launched_by_mpi());
  EXPECT_FALSE(environment({}).launched_by_mpi());
}

TEST(LaunchEnvironment, ARankMayBeUnknown) {
  const auto ranks = environment({{"PMI_SIZE", "4"}}).ranks();
  ASSERT_TRUE(ranks.has_value());
  EXPECT_FALSE(ranks->rank);
  EXPECT_STREQ(ranks->size_variable, "PMI_SIZE");
}

TEST(LaunchEnvironment, TextsAreEmptyWhereAVariableIsNotSet) {
  EXPECT_EQ(environment(kSrun).text("SLURM_PROCID"), "5");
  EXPECT_EQ(environment(kSrun).text("SLURM_NTASKS"), "");
}

TEST(LaunchEnvironment, NamesAVariableThatIsWrong) {
  EXPECT_THAT(
      [] {
        environment({{"PMI_RANK", "4"}, {"PMI_SIZE", "4"}}).ranks();
      },
      ThrowsMessage<InputError>(HasSubstr("PMI_RANK: expected a rank below 4 (PMI_SIZE), found 4")));
  EXPECT_THAT(
      [] {
        environment({{"PMI_RANK", "x"}, {"PMI_SIZE", "4"}}).ranks();
      },
      ThrowsMessage<InputError>(HasSubstr("PMI_RANK: expected a number in the environment, found \"x\"")));
}

}  // namespace
}  // namespace lockstep::core
