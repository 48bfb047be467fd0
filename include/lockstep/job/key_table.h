#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lockstep/job/named_values.h"

namespace lockstep::job {

/// Settings that can be set by name: each key is bound to a variable and has its valid values and one line of help.
class KeyTable {
 public:
  /// A variable whose values are written as texts, such as an enumeration.
  struct Textual {
    std::function<std::string()> text;             // of the current value
    std::function<bool(const std::string&)> read;  // returns false, and changes nothing, if no value has this text
    std::vector<std::string> names = {};           // the valid texts; empty if any text is
    std::string fallback = {};                     // is read, with a warning, in place of an unknown text, if not empty
  };
  using Target =
      std::variant<bool*, std::int64_t*, double*, std::string*, std::optional<bool>*, std::optional<std::int64_t>*,
                   std::optional<double>*, std::optional<std::string>*, std::vector<std::string>*, Textual>;

  /// The valid range of a number, bounds included.
  struct Range {
    double minimum = -std::numeric_limits<double>::infinity();
    double maximum = std::numeric_limits<double>::infinity();
  };

  /// The text of a value, as written in a job file or on the command line.
  struct Text {
    std::vector<std::string> items;  // exactly one, unless it is a list
    bool is_list = false;
    bool is_none = false;  // the word none, null or ~ without quotes: "not set"
  };

  void add(std::string name, Target target, std::string help) {
    add(std::move(name), std::move(target), std::move(help), Range{});
  }
  void add(std::string name, Target target, std::string help, Range range);
  template <NamedEnum Value>
  void add(std::string name, Value* target, std::string help) {
    add(std::move(name), textual(target), std::move(help));
  }
  /// Adds a key in the same way. An unknown text counts as `fallback`, and a warning says so.
  template <NamedEnum Value>
  void add(std::string name, Value* target, std::string help, Value fallback) {
    Textual with_fallback = textual(target);
    with_fallback.fallback = name_of(fallback);
    add(std::move(name), std::move(with_fallback), std::move(help));
  }

  /// Sets a key. Throws InputError for an unknown key (suggesting the nearest) and for a value of the wrong type or out
  /// of range. `where` begins the message, e.g. "job.yaml: line 3".
  void set(std::string_view name, const Text& value, const std::string& where);

  /// Throws InputError, as set() does, if there is no such key.
  void check_name(std::string_view name, const std::string& where) const { find(name, where); }

  /// Returns one line per key: its name and its help().
  std::string describe() const;

  /// Returns the name of every key, and its help with the valid choices and the current value.
  std::vector<std::pair<std::string, std::string>> help() const;

  /// Returns every key with its current value, in the notation of a job file.
  std::vector<std::pair<std::string, std::string>> values() const;

  /// Returns the keys whose values differ from those in `defaults`, as lines of a job file. `defaults` must bind the
  /// same keys.
  std::string changes(const KeyTable& defaults) const;

 private:
  struct Key {
    std::string name;
    Target target;
    std::string help;
    Range range;
  };
  const Key& find(std::string_view name, const std::string& where) const;

  template <NamedEnum Value>
  static Textual textual(Value* target) {
    return {.text = [target] { return std::string(name_of(*target)); },
            .read =
                [target](const std::string& text) {
                  const auto value = value_named<Value>(text);
                  if (value) *target = *value;
                  return value.has_value();
                },
            .names = names_of<Value>()};
  }

  std::vector<Key> keys_;
};

}  // namespace lockstep::job
