#include "lockstep/data/row_format.h"

#include <fmt/format.h>
#include <array>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

constexpr std::array<std::pair<InputContainsOutput, std::string_view>, 3> kTexts{{
    {InputContainsOutput::automatic, "auto"},
    {InputContainsOutput::yes, "true"},
    {InputContainsOutput::no, "false"},
}};

}  // namespace

std::string_view to_text(InputContainsOutput value) {
  for (const auto& [known, text] : kTexts) {
    if (known == value) return text;
  }
  return "";
}

InputContainsOutput parse_input_contains_output(std::string_view text) {
  for (const auto& [value, known] : kTexts) {
    if (known == text) return value;
  }
  throw InputError(fmt::format("input_contains_output: expected auto, true or false, found '{}'", text));
}

}  // namespace lockstep::data
