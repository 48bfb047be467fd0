#pragma once

#include <filesystem>
#include <string>

#include "lockstep/data/shards/manifest.h"

namespace lockstep::data_prep {

/// Returns the table of a prepared set: rows, examples, tokens, truncated and dropped rows with the first of each,
/// duplicates, and percentiles of the lengths.
std::string format_summary(const std::filesystem::path& folder, const data::Manifest& manifest);

/// Returns histograms of the lengths of inputs, of targets, and of both together.
std::string format_histograms(const data::TokenizationReport& report);

}  // namespace lockstep::data_prep
