#include "data_prep/prepared_sets.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"
#include "lockstep/core/home_folder.h"
#include "lockstep/data/shards/manifest.h"

namespace lockstep::data_prep {

namespace fs = std::filesystem;

std::vector<fs::path> find_prepared_sets(const fs::path& given_folder) {
  const fs::path folder = core::expand_home(given_folder.string());
  std::error_code error;
  if (fs::exists(folder / data::Manifest::kFileName, error)) return {folder};
  std::vector<fs::path> sets;
  for (const char* name : {"train", "validation"}) {
    if (fs::is_directory(folder / name, error)) sets.push_back(folder / name);
  }
  if (sets.empty()) {
    throw InputError(
        fmt::format("{}: expected a prepared_dir (with train/) or one of its sets (with {}), found {}; run "
                    "lockstep-prep with a job first",
                    folder.string(), data::Manifest::kFileName,
                    fs::is_directory(folder, error) ? "neither"
                    : fs::exists(folder, error)     ? "a file"
                                                    : "no such folder"));
  }
  return sets;
}

}  // namespace lockstep::data_prep
