#include "lockstep/core/json.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep {

Json read_json_file(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    const auto line = 1 + std::count(text.begin(), end, '\n');
    throw InputError(fmt::format("{}: line {}: not valid JSON: {}", path.string(), line, error.what()));
  }
}

void write_json_file(const std::filesystem::path& path, const Json& json) { write_file(path, json.dump(2) + "\n"); }

}  // namespace lockstep
