#include "lockstep/core/byte_size.h"

#include <fmt/format.h>
#include <array>
#include <cctype>
#include <charconv>

#include "lockstep/core/error.h"

namespace lockstep::core {

std::uint64_t parse_byte_size(std::string_view text) {
  constexpr std::array<std::pair<char, double>, 4> kUnits{{{'K', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}}};
  constexpr double kLargest = 1e18;
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [letter, bytes] : kUnits) {
    const bool is_unit = unit.size() == 2 && std::toupper(static_cast<unsigned char>(unit[0])) == letter &&
                         std::toupper(static_cast<unsigned char>(unit[1])) == 'B';
    const double size = number * bytes;
    if (problem == std::errc() && is_unit && size >= 1 && size <= kLargest) return static_cast<std::uint64_t>(size);
  }
  throw InputError(fmt::format("expected a size with its unit (KB, MB, GB or TB), e.g. 5GB, found '{}'", text));
}

}  // namespace lockstep::core
