#include "lockstep/data/work_share.h"

#include <gmock/gmock.h>
#include <map>
#include <string>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

WorkShare share(const std::map<std::string, std::string>& environment) {
  return find_work_share(core::LaunchEnvironment([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  }));
}

TEST(WorkShare, IsAllOfTheWorkForAProcessAlone) {
  EXPECT_EQ(share({}), (WorkShare{0, 1}));
  // The environment of a batch script's shell, without srun.
  EXPECT_EQ(share({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}), (WorkShare{0, 1}));
}

TEST(WorkShare, IsThatOfTheLaunchersRank) {
  EXPECT_EQ(share({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "3"}}), (WorkShare{2, 3}));
  EXPECT_EQ(share({{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}}), (WorkShare{0, 4}));
  EXPECT_EQ(share({{"PMIX_RANK", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}}), (WorkShare{1, 2}));
  EXPECT_EQ(share({{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "6"}}), (WorkShare{5, 6}));
}

TEST(WorkShare, IsThatOfTheArrayTask) {
  std::map<std::string, std::string> array{{"SLURM_ARRAY_TASK_ID", "7"},
                                           {"SLURM_ARRAY_TASK_COUNT", "4"},
                                           {"SLURM_ARRAY_TASK_MIN", "1"},
                                           {"SLURM_ARRAY_TASK_MAX", "10"}};  // --array=1-10:3
  EXPECT_EQ(share(array), (WorkShare{2, 4}));
  array.insert({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}});
  EXPECT_EQ(share(array), (WorkShare{5, 8}));
  // A single task of an array that is submitted again does all of the missing work.
  EXPECT_EQ(share({{"SLURM_ARRAY_TASK_ID", "3"},
                   {"SLURM_ARRAY_TASK_COUNT", "1"},
                   {"SLURM_ARRAY_TASK_MIN", "3"},
                   {"SLURM_ARRAY_TASK_MAX", "3"}}),
            (WorkShare{0, 1}));
}

TEST(WorkShare, IsRefusedWhereItCannotBeTold) {
  EXPECT_THAT(test::input_error([] {
                share({{"SLURM_ARRAY_TASK_ID", "3"},
                       {"SLURM_ARRAY_TASK_COUNT", "3"},
                       {"SLURM_ARRAY_TASK_MIN", "1"},
                       {"SLURM_ARRAY_TASK_MAX", "7"}});  // --array=1,3,7
              }),
              testing::HasSubstr("evenly spaced"));
  EXPECT_THAT(test::input_error([] { share({{"PMI_RANK", "4"}, {"PMI_SIZE", "4"}}); }), testing::HasSubstr("PMI_RANK"));
  EXPECT_THAT(test::input_error([] { share({{"PMI_RANK", "x"}, {"PMI_SIZE", "4"}}); }), testing::HasSubstr("\"x\""));
}

}  // namespace
}  // namespace lockstep::data
