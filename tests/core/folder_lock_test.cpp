#include "lockstep/core/folder_lock.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::core {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Long enough that a test which waited for it would be stopped.
constexpr FolderLock::Timing kNeverPatient{.heartbeat = std::chrono::hours(1), .patience = std::chrono::hours(1)};

class FolderLockTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  void write_holder(const std::string& host, std::uint64_t beats) const {
    write_file(lock_file_, Json{{"host", host}, {"process", 7U}, {"since", "then"}, {"beats", beats}}.dump());
  }

  fs::path folder_ = fs::temp_directory_path() / ("folder_lock_test_" + std::to_string(::getpid()));
  fs::path lock_file_ = folder_ / FolderLock::kFileName;
};

TEST_F(FolderLockTest, HoldsAFolderForOneAtATimeAndLeavesNothing) {
  for (int i = 0; i < 2; ++i) {
    const FolderLock lock(folder_);
    EXPECT_THAT([&] { FolderLock(folder_, kNeverPatient); },
                ThrowsMessage<InputError>(AllOf(HasSubstr(folder_.string()),
                                                HasSubstr("process " + std::to_string(::getpid()) + " on host"))));
  }
  EXPECT_TRUE(fs::is_empty(folder_));
  EXPECT_THROW(FolderLock(folder_ / "missing"), Error);
}

TEST_F(FolderLockTest, AKilledHolderHoldsNothing) {
  int ready[2] = {};
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(folder_);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT([&] { FolderLock(folder_, kNeverPatient); },
              ThrowsMessage<InputError>(HasSubstr("process " + std::to_string(child))));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(lock_file_));
  const FolderLock lock(folder_, kNeverPatient);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(FolderLockTest, AHolderOnAnotherHostIsDeadOnceItRests) {
  write_holder("elsewhere", 3);
  const FolderLock lock(folder_, {.heartbeat = milliseconds(10), .patience = milliseconds(50)});
  EXPECT_THAT(read_file(lock_file_), Not(HasSubstr("elsewhere")));
}

TEST_F(FolderLockTest, AHolderOnAnotherHostIsAliveWhileItsNumberGrows) {
  write_holder("elsewhere", 3);
  std::atomic<bool> is_over = false;
  std::thread holder([&] {
    for (std::uint64_t beats = 4; !is_over; ++beats) {
      write_holder("elsewhere", beats);
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  EXPECT_THAT([&] { FolderLock(folder_, {.heartbeat = milliseconds(10), .patience = std::chrono::hours(1)}); },
              ThrowsMessage<InputError>(HasSubstr("process 7 on host elsewhere since then")));
  is_over = true;
  holder.join();
}

TEST_F(FolderLockTest, TheRestartOfAJobWaitsForNobody) {
  write_file(lock_file_, Json{{"host", "elsewhere"}, {"job", "12"}, {"start", ""}, {"beats", 3U}}.dump());
  setenv("SLURM_JOB_ID", "12", 1);
  setenv("SLURM_RESTART_COUNT", "1", 1);
  { const FolderLock lock(folder_, kNeverPatient); }
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_RESTART_COUNT");
}

TEST_F(FolderLockTest, AFileThatIsNoRecordIsTakenOver) {
  for (const char* text : {"", "{", "[1]", R"({"host": 3})"}) {
    write_file(lock_file_, text);
    const FolderLock lock(folder_, {.heartbeat = milliseconds(10), .patience = milliseconds(20)});
    EXPECT_THAT(read_file(lock_file_), HasSubstr(std::to_string(::getpid())));
  }
}

}  // namespace
}  // namespace lockstep::core
