#include "train/output_folder.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/core/folder_lock.h"

namespace lockstep::train {

namespace fs = std::filesystem;

void prepare_output_folder(const fs::path& folder, bool overwrite, std::uint64_t expected_bytes) {
  std::error_code error;
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw InputError(
        fmt::format("output_dir: {} is a file, expected a folder; give another output_dir", folder.string()));
  }
  const auto is_content = [](const fs::directory_entry& entry) {
    return entry.path().filename() != core::FolderLock::kFileName;
  };
  if (!overwrite && fs::is_directory(folder) && std::ranges::any_of(fs::directory_iterator(folder), is_content)) {
    throw InputError(fmt::format(
        "output_dir: {} is not empty; give another output_dir, or overwrite_output_dir: true to replace its contents",
        folder.string()));
  }
  fs::create_directories(folder, error);
  if (error) core::throw_system_error("create the folder", folder, error.value());
  const std::uint64_t available = fs::space(folder).available;
  if (available < expected_bytes) {
    throw Error(
        fmt::format("output_dir: {}: the model needs {} bytes, the disk has {} left; free some space, or write to "
                    "another disk",
                    folder.string(), expected_bytes, available));
  }
}

}  // namespace lockstep::train
