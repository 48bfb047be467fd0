#include "lockstep/core/atomic_file.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "lockstep/core/error.h"

namespace lockstep::core {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator{}));
  }

  fs::path folder_ = fs::temp_directory_path() / ("atomic_file_test_" + std::to_string(::getpid()));
};

TEST_F(AtomicFileTest, AppearsOnlyOnCommit) {
  const fs::path path = folder_ / "new" / "file";
  AtomicFile file(path);
  file.write("first ");
  file.write("second");
  EXPECT_FALSE(fs::exists(path));
  file.commit();
  EXPECT_EQ(read_file(path), "first second");
}

TEST_F(AtomicFileTest, WithoutCommitLeavesTheOldFileAndNothingElse) {
  const fs::path path = folder_ / "file";
  write_file(path, "old");
  { AtomicFile(path).write("new"); }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(AtomicFileTest, NamesAMissingFile) {
  EXPECT_THAT([&] { read_file(folder_ / "absent"); }, ThrowsMessage<InputError>(HasSubstr("absent: cannot open")));
}

TEST_F(AtomicFileTest, RefusesToReadAFolder) {
  EXPECT_THAT([&] { read_file(folder_); }, ThrowsMessage<InputError>(HasSubstr("Is a directory")));
}

TEST_F(AtomicFileTest, SaysThatTheDiskIsFull) {
  EXPECT_THAT([] { throw_system_error("write", "model", ENOSPC); },
              ThrowsMessage<Error>(HasSubstr("model: cannot write: No space left on device; free some space")));
}

TEST(AtomicFile, AFolderInItsPlaceIsNamedAtOnce) {
  EXPECT_THROW(AtomicFile(std::filesystem::temp_directory_path()), InputError);
}

}  // namespace
}  // namespace lockstep::core
