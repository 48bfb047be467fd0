#include "hub/adapter_folder.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::hub {

namespace fs = std::filesystem;

std::optional<std::string> adapter_base_model(const fs::path& folder) {
  const fs::path file = folder / "adapter_config.json";
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  const Json config = core::read_json_file(file);
  const auto text = [&](const char* key) -> std::string {
    const auto found = config.is_object() ? config.find(key) : config.end();
    return found != config.end() && found->is_string() ? found->get<std::string>() : "";
  };
  const std::string base = text("base_model_name_or_path"), revision = text("revision");
  if (base.empty()) {
    throw InputError(
        fmt::format("{}: expected the folder or the name of the adapter's base model as "
                    "base_model_name_or_path, found none; write it there",
                    file.string()));
  }
  const bool is_local = fs::exists(base, error);
  return is_local || revision.empty() ? base : base + "@" + revision;
}

}  // namespace lockstep::hub
