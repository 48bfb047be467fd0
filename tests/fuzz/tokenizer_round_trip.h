#pragma once

#include <filesystem>
#include <string_view>

namespace lockstep::fuzz {

/// Loads the tokenizer of a folder, encodes `text` and some hostile texts with it, and decodes the ids.
void try_tokenizer(const std::filesystem::path& folder, std::string_view text);

}  // namespace lockstep::fuzz
