#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lockstep::job {

/// An enumeration's value and its name.
template <class Value>
struct Named {
  Value value;
  std::string_view name;
};

/// The names of an enumeration's values. Each enumeration of job/choices.h has a specialisation, whose `kNames` is an
/// array of Named<Value>. A value may have several names: all are read, and the first is written.
template <class Value>
struct NamesOf;

template <class Value>
concept NamedEnum = std::is_enum_v<Value> && requires {
  NamesOf<Value>::kNames;
};

/// Returns the name that is written for `value`.
template <NamedEnum Value>
constexpr std::string_view name_of(Value value) {
  for (const Named<Value>& known : NamesOf<Value>::kNames) {
    if (known.value == value) return known.name;
  }
  return {};
}

/// Returns the value that `name` stands for, or nothing if no value has this name.
template <NamedEnum Value>
constexpr std::optional<Value> value_named(std::string_view name) {
  for (const Named<Value>& known : NamesOf<Value>::kNames) {
    if (known.name == name) return known.value;
  }
  return std::nullopt;
}

/// Returns all names that are read.
template <NamedEnum Value>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (const Named<Value>& known : NamesOf<Value>::kNames) names.emplace_back(known.name);
  return names;
}

}  // namespace lockstep::job
