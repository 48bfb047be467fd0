#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lockstep::hub {

/// The base that the adapter in `folder` names, a folder or a model of the hub with its revision; none if there is no
/// adapter_config.json. Throws InputError if that names none.
std::optional<std::string> base_of_adapter(const std::filesystem::path& folder);

}  // namespace lockstep::hub
