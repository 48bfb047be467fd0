#include "lockstep/core/json.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::core {

void check_json_nesting(std::string_view text) {
  constexpr std::size_t kDeepest = 200;  // real files have about 20 levels
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') ++i;
    if (in_string) continue;
    if ((c == '}' || c == ']') && depth > 0) --depth;
    if ((c == '{' || c == '[') && ++depth > kDeepest) {
      throw InputError(fmt::format("expected JSON of at most {} levels, found more at byte {}", kDeepest, i + 1));
    }
  }
}

std::uint64_t json_count(const Json& value, std::uint64_t largest) {
  const bool is_whole = value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  if (is_whole && value.get<std::uint64_t>() <= largest) return value.get<std::uint64_t>();
  throw InputError(fmt::format("expected a whole number from 0 to {}, found {}", largest, value.dump()));
}

Json read_json_file(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    check_json_nesting(text);
    return Json::parse(text);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", path.string(), error.what()));
  } catch (const Json::out_of_range& error) {
    throw InputError(fmt::format("{}: a number is out of range: {}", path.string(), error.what()));
  } catch (const Json::parse_error& error) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    const auto line = 1 + std::count(text.begin(), end, '\n');
    throw InputError(fmt::format("{}: line {}: not valid JSON: {}", path.string(), line, error.what()));
  }
}

void write_json_file(const std::filesystem::path& path, const Json& json) { write_file(path, json.dump(2) + "\n"); }

}  // namespace lockstep::core
