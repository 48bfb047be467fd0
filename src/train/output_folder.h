#pragma once

#include <cstdint>
#include <filesystem>

namespace lockstep::train {

/// Makes `folder` ready for a run's results, of about `expected_bytes`. Throws InputError if it holds anything and
/// `overwrite` is false, or is not a folder; Error if the disk has too little room. Removes nothing: files of another
/// run are replaced one by one as the new ones are complete.
void prepare_output_folder(const std::filesystem::path& folder, bool overwrite, std::uint64_t expected_bytes);

}  // namespace lockstep::train
