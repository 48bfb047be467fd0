#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lockstep::job {

/// Settings that can be given by name: each key is bound to a variable, with its valid values and one line of help.
class KeyTable {
 public:
  using Target =
      std::variant<bool*, std::int64_t*, double*, std::string*, std::optional<bool>*, std::optional<std::int64_t>*,
                   std::optional<double>*, std::optional<std::string>*, std::vector<std::string>*>;

  /// The valid values of a number, bounds included.
  struct Range {
    double minimum = -std::numeric_limits<double>::infinity();
    double maximum = std::numeric_limits<double>::infinity();
  };
  /// The valid values of a text; empty: any.
  using Choices = std::vector<std::string>;

  /// A value as it stands in a job file or on the command line.
  struct Text {
    std::vector<std::string> items;  // one, unless it is a list
    bool is_list = false;
  };

  void add(std::string name, Target target, std::string help) {
    add(std::move(name), target, std::move(help), Range{});
  }
  void add(std::string name, Target target, std::string help, Range range);
  void add(std::string name, Target target, std::string help, Choices choices);

  /// Throws InputError for an unknown key (naming a near one), a value of the wrong type or out of range. `where`
  /// begins the message, e.g. "job.yaml: line 3".
  void set(std::string_view name, const Text& value, const std::string& where);

  /// One line a key: name, present value, help.
  std::string describe() const;

  /// Every key with its present value, as a job file has it.
  std::vector<std::pair<std::string, std::string>> values() const;

  /// The keys whose values are others than in `defaults`, which binds the same keys, as lines of a job file.
  std::string changes(const KeyTable& defaults) const;

 private:
  struct Key {
    std::string name;
    Target target;
    std::string help;
    Range range;
    Choices choices;
  };
  const Key& find(std::string_view name, const std::string& where) const;

  std::vector<Key> keys_;
};

}  // namespace lockstep::job
