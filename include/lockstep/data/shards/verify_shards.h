#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/data/shards/manifest.h"

namespace lockstep::data {

/// Reads every id of every shard in `folder`, which has the given manifest. Returns one message per problem, or an
/// empty list if the set is intact. Problems are a shard (named by its path) that is missing, has another size or
/// sha256, fails HDF5's own checksums, is inconsistent, or holds an id beyond the vocabulary; and counts or lengths
/// that differ from the manifest's.
std::vector<std::string> find_damage(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace lockstep::data
