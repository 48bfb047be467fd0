#pragma once

#include <filesystem>
#include <vector>

namespace lockstep::data_prep {

/// Returns the folders of the prepared sets in `folder`: the folder itself, or its train/ and validation/. Throws
/// InputError if neither is a prepared set.
std::vector<std::filesystem::path> find_prepared_sets(const std::filesystem::path& folder);

}  // namespace lockstep::data_prep
