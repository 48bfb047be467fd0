#pragma once

#include <filesystem>
#include <string>

#include "lockstep/data/shards/manifest.h"

namespace lockstep::data_prep {

/// The table of a prepared set: rows, examples, tokens, truncated and dropped with the first rows of each, duplicates,
/// percentiles of the lengths.
std::string format_summary(const std::filesystem::path& folder, const data::Manifest& manifest);

/// How many examples have which length, as bars: of inputs, targets and both together.
std::string format_histograms(const data::TokenizationReport& report);

}  // namespace lockstep::data_prep
