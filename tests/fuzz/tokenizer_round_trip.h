#pragma once

#include <filesystem>
#include <string_view>

namespace lockstep::fuzz {

/// Loads the tokenizer of a folder, encodes `text` and some hostile ones with it, and decodes what comes of them.
void try_tokenizer(const std::filesystem::path& folder, std::string_view text);

}  // namespace lockstep::fuzz
