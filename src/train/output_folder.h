#pragma once

#include <cstdint>
#include <filesystem>

namespace lockstep::train {

/// Prepares `folder` for a run's results of about `expected_bytes`, and creates it if necessary. Throws InputError if
/// it is not a folder, or if it is not empty and `overwrite` is false; Error if the disk has too little room. Removes
/// nothing: files of another run are replaced one by one as the new ones are completed.
void prepare_output_folder(const std::filesystem::path& folder, bool overwrite, std::uint64_t expected_bytes);

}  // namespace lockstep::train
