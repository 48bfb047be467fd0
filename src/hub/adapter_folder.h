#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lockstep::hub {

/// Returns the base model that the adapter in `folder` names: a folder, or a hub model with its revision. Returns none
/// if there is no adapter_config.json. Throws InputError if that file names no base model.
std::optional<std::string> adapter_base_model(const std::filesystem::path& folder);

}  // namespace lockstep::hub
