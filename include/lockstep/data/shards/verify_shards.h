#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/data/shards/manifest.h"

namespace lockstep::data {

/// Reads every shard of `folder`, whose manifest is given, to the last id. Returns what is wrong, a message each:
/// a shard (named by its path) that is missing, of another size or sha256, damaged by HDF5's own checksums,
/// inconsistent, or with an id beyond the vocabulary; and counts or lengths other than the manifest's. Empty if the set
/// is whole.
std::vector<std::string> find_damage(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace lockstep::data
