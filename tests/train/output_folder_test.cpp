#include "train/output_folder.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

class OutputFolderTest : public testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::temp_directory_path() / ("output_folder_test_" + std::to_string(::getpid()));
};

TEST_F(OutputFolderTest, IsMadeWhereItIsMissing) {
  prepare_output_folder(folder_ / "a" / "b", false, 100);
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "b"));
  EXPECT_NO_THROW(prepare_output_folder(folder_ / "a" / "b", false, 100));
}

TEST_F(OutputFolderTest, AnotherRunsFilesAreKeptUnlessOverwritingIsAsked) {
  core::write_file(folder_ / "model.safetensors", "old");
  EXPECT_THAT([&] { prepare_output_folder(folder_, false, 0); },
              ThrowsMessage<InputError>(HasSubstr("overwrite_output_dir: true")));
  prepare_output_folder(folder_, true, 0);
  EXPECT_EQ(core::read_file(folder_ / "model.safetensors"), "old");
}

TEST_F(OutputFolderTest, ADiskWithoutRoomIsNamedBeforeAnyWork) {
  EXPECT_THAT([&] { prepare_output_folder(folder_, false, std::uint64_t{1} << 62); },
              ThrowsMessage<Error>(HasSubstr("free some space")));
}

TEST_F(OutputFolderTest, AFileInItsPlaceIsNamed) {
  core::write_file(folder_, "a file");
  EXPECT_THAT([&] { prepare_output_folder(folder_, true, 0); }, ThrowsMessage<InputError>(HasSubstr("is a file")));
}

}  // namespace
}  // namespace lockstep::train
