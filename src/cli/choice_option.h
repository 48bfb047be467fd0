#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "lockstep/job/named_values.h"

namespace lockstep::cli {

// Adds an option whose values are the names of an enumeration.
template <job::NamedEnum Value>
void add_choice(CLI::App& command, const std::string& name, Value& value, const std::string& help) {
  command
      .add_option_function<std::string>(
          name, [&value](const std::string& text) { value = job::value_named<Value>(text).value(); }, help)
      ->default_str(std::string(name_of(value)))
      ->check(CLI::IsMember(job::names_of<Value>()));
}

}  // namespace lockstep::cli
