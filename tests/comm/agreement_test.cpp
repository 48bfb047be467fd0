#include "lockstep/comm/agreement.h"

#include <gmock/gmock.h>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>

namespace lockstep::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

using Variables = std::map<std::string, std::string>;

// Sets the environment variables of a launcher for its lifetime.
class Launch {
 public:
  explicit Launch(const Variables& variables) {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK", "PMIX_NAMESPACE",
                             "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}) {
      const char* value = std::getenv(name);
      before_[name] = value ? std::optional<std::string>(value) : std::nullopt;
      const auto found = variables.find(name);
      set(name, found == variables.end() ? std::nullopt : std::optional(found->second));
    }
  }
  ~Launch() {
    for (const auto& [name, value] : before_) set(name, value);
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

 private:
  static void set(const std::string& name, const std::optional<std::string>& value) {
    if (value) {
      ::setenv(name.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name.c_str());
    }
  }
  std::map<std::string, std::optional<std::string>> before_;
};

TEST(WorldSize, MustBeWhatTheLauncherSays) {
  for (const Variables& variables : std::vector<Variables>{
           {{"OMPI_COMM_WORLD_SIZE", "4"}},
           {{"PMI_SIZE", "4"}},
           {{"PMIX_NAMESPACE", "slurm.pmix.17.0"}, {"SLURM_STEP_NUM_TASKS", "4"}},
           {{"PMIX_NAMESPACE", "slurm.pmix.17.0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"OMPI_COMM_WORLD_SIZE", "1"}}}) {
    const Launch launch(variables);
    EXPECT_NO_THROW(check_world_size(4));
    EXPECT_THAT(
        [] { check_world_size(1); },
        ThrowsMessage<InputError>(AllOf(HasSubstr("expected 4 ranks"), HasSubstr("found 1"), HasSubstr("mpirun"))));
  }
}

TEST(WorldSize, OneOfManyAloneSaysThatItIsWrong) {
  for (const Variables& variables : std::vector<Variables>{
           {{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}},
           {{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}},
           {{"PMIX_NAMESPACE", "slurm.pmix.17.0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "3"}}}) {
    const Launch launch(variables);
    EXPECT_THROW(check_world_size(1), PeerFailed);
  }
}

TEST(WorldSize, SlurmsTasksAreNotThoseOfAnMpirunThatItStarted) {
  const Launch launch(
      Variables{{"OMPI_COMM_WORLD_SIZE", "4"}, {"PMIX_NAMESPACE", "1234@1"}, {"SLURM_STEP_NUM_TASKS", "2"}});
  EXPECT_NO_THROW(check_world_size(4));
}

TEST(WorldSize, IsAnyWhereNoLauncherTellsIt) {
  const Launch launch(Variables{{"SLURM_STEP_NUM_TASKS", "2"}});
  EXPECT_NO_THROW(check_world_size(7));
}

}  // namespace
}  // namespace lockstep::comm
