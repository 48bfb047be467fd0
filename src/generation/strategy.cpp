#include "lockstep/generation/strategy.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "lockstep/core/error.h"

namespace lockstep::generation {
namespace {

template <std::size_t... kinds>
std::vector<Strategy> one_of_each(std::index_sequence<kinds...>) {
  return {std::variant_alternative_t<kinds, Strategy>()...};
}

}  // namespace

std::vector<Strategy> strategies() { return one_of_each(std::make_index_sequence<std::variant_size_v<Strategy>>()); }

std::string_view name_of(const Strategy& strategy) {
  return std::visit([](const auto& kind) { return kind.kName; }, strategy);
}

job::KeyTable settings_of(Strategy& strategy) {
  job::KeyTable table;
  std::visit([&](auto& kind) { kind.bind(table); }, strategy);
  return table;
}

Strategy make_strategy(std::string_view name, const std::vector<std::pair<std::string, std::string>>& settings) {
  std::vector<std::string_view> names;
  for (const Strategy& known : strategies()) {
    names.push_back(name_of(known));
    if (name_of(known) != name) continue;
    Strategy strategy = known;
    job::KeyTable table = settings_of(strategy);
    const std::vector<std::pair<std::string, std::string>> keys = table.help();
    for (const auto& [key, text] : settings) {
      if (std::ranges::find(keys, key, &std::pair<std::string, std::string>::first) == keys.end()) {
        throw InputError(
            fmt::format("{}: the strategy '{}' does not have this setting; leave it out, or choose a "
                        "strategy that has it",
                        key, name));
      }
      table.set(key, {.items = {text}}, fmt::format("strategy '{}'", name));
    }
    return strategy;
  }
  throw InputError(fmt::format("strategy: expected one of: {}, found '{}'", fmt::join(names, ", "), name));
}

}  // namespace lockstep::generation
