#include "lockstep/job/key_table.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <numeric>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::job {
namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;  // clang 14 does not deduce this by itself

// Computes the Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char left : a) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (left == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string in_lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_none(const std::string& text) {
  const std::string word = in_lower_case(text);
  return word == "none" || word == "null" || word == "~";
}

// Returns "true" or "false" for what YAML 1.1, and therefore PyYAML, reads as such; else nullopt.
std::optional<std::string> truth_named(const std::string& text) {
  const std::string word = in_lower_case(text);
  if (word == "true" || word == "yes" || word == "on") return "true";
  if (word == "false" || word == "no" || word == "off") return "false";
  return std::nullopt;
}

// YAML 1.1 reads 010 as 8, and YAML 1.2 as 10.
bool has_leading_zero(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && text.find_first_not_of("0123456789") == std::string_view::npos;
}

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
  Number number{};
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  if (has_leading_zero(text)) return std::nullopt;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Parses the text of one value, given its place and its valid values.
struct ValueParser {
  const std::string& text;
  const std::string& key;
  const std::string& where;  // "FILE: line N: KEY"
  const KeyTable::Range& range;
  const bool is_unset;  // the value is the word none, without quotes

  [[noreturn]] void refuse(const std::string& expected) const {
    throw InputError(fmt::format("{}: expected {}, found '{}'", where, expected, text));
  }

  template <class Number>
  Number number(const char* expected) const {
    const auto number = parse_number<Number>(text);
    if (!number) refuse(expected);
    const auto real = static_cast<double>(*number);
    if (std::isfinite(real) && real >= range.minimum && real <= range.maximum) return *number;
    refuse(std::isinf(range.maximum) ? fmt::format("{} from {} up", expected, range.minimum)
                                     : fmt::format("{} from {} to {}", expected, range.minimum, range.maximum));
  }

  void read(bool& value) const {
    const auto truth = truth_named(text);
    if (!truth) refuse("true or false");
    value = *truth == "true";
  }
  void read(std::int64_t& value) const { value = number<std::int64_t>("a whole number"); }
  void read(double& value) const { value = number<double>("a number"); }
  void read(std::string& value) const {
    require_text();
    value = text;
  }
  void read(const KeyTable::Textual& value) const {
    if (text.empty()) refuse("a text");
    if (value.names.empty()) require_text();
    if (value.read(text)) return;
    if (const auto truth = truth_named(text);
        truth && (value.read(*truth) || (*truth == "false" && value.read("no")))) {
      return;
    }
    const std::string expected = fmt::format("one of: {}", fmt::join(value.names, ", "));
    if (value.fallback.empty()) refuse(expected);
    spdlog::warn("{}: '{}' is not {}; using {}", key, text, expected, value.fallback);
    value.read(value.fallback);
  }
  void require_text() const {
    if (text.empty()) refuse("a text");
    if (is_unset) refuse("a text: remove the key to keep its default, or write the word in quotes if it is meant");
  }
  template <class Value>
  void read(std::optional<Value>& value) const {
    if (is_none(text)) {
      value.reset();
    } else {
      read(value.emplace());
    }
  }
};

std::string show(const KeyTable::Target& target) {
  return std::visit(
      Overloaded{
          [](const bool* value) { return std::string(*value ? "true" : "false"); },
          [](const std::vector<std::string>* value) {
            return value->empty() ? "none" : fmt::format("{}", fmt::join(*value, ", "));
          },
          [](const KeyTable::Textual& value) { return value.text(); },
          []<class Value>(const std::optional<Value>* value) { return *value ? fmt::format("{}", **value) : "none"; },
          [](const auto* value) { return fmt::format("{}", *value); },
      },
      target);
}

// Formats a value for a job file: texts are quoted as in JSON.
std::string show_in_job(const KeyTable::Target& target) {
  const auto quote = [](const auto& value) { return Json(value).dump(-1, ' ', false, Json::error_handler_t::replace); };
  return std::visit(Overloaded{
                        [&](const std::string* value) { return quote(*value); },
                        [&](const std::vector<std::string>* value) { return quote(*value); },
                        [&](const std::optional<std::string>* value) { return *value ? quote(**value) : "none"; },
                        [&](const KeyTable::Textual& value) { return quote(value.text()); },
                        [&](const auto*) { return show(target); },
                    },
                    target);
}

}  // namespace

void KeyTable::add(std::string name, Target target, std::string help, Range range) {
  keys_.push_back({std::move(name), std::move(target), std::move(help), range});
}

const KeyTable::Key& KeyTable::find(std::string_view name, const std::string& where) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const Key& key) { return key.name == name; });
  if (found != keys_.end()) return *found;
  const auto nearest = std::min_element(keys_.begin(), keys_.end(), [&](const Key& a, const Key& b) {
    return edit_distance(a.name, name) < edit_distance(b.name, name);
  });
  std::vector<std::string_view> names;
  for (const Key& key : keys_) names.push_back(key.name);
  const bool is_near = edit_distance(nearest->name, name) <= std::max<std::size_t>(2, nearest->name.size() / 2);
  throw InputError(fmt::format("{}: unknown key '{}'{} (supported: {})", where, name,
                               is_near ? fmt::format("; the nearest key is '{}'", nearest->name) : "",
                               fmt::join(names, ", ")));
}

void KeyTable::set(std::string_view name, const Text& value, const std::string& where) {
  const Key& key = find(name, where);
  if (auto* const* list = std::get_if<std::vector<std::string>*>(&key.target)) {
    **list = value.is_none ? std::vector<std::string>() : value.items;
    return;
  }
  const std::string place = fmt::format("{}: {}", where, key.name);
  if (value.is_list || value.items.size() != 1) {
    throw InputError(
        fmt::format("{}: expected a single value, found the list [{}]", place, fmt::join(value.items, ", ")));
  }
  const ValueParser parser{value.items.front(), key.name, place, key.range, value.is_none};
  std::visit(Overloaded{[](std::vector<std::string>*) {}, [&](const Textual& target) { parser.read(target); },
                        [&](auto* target) { parser.read(*target); }},
             key.target);
}

std::string KeyTable::describe() const {
  std::string text;
  for (const auto& [name, key_help] : help()) text += fmt::format("  {:<28} {}\n", name, key_help);
  return text;
}

std::vector<std::pair<std::string, std::string>> KeyTable::help() const {
  std::vector<std::pair<std::string, std::string>> result;
  for (const Key& key : keys_) {
    const auto* textual = std::get_if<Textual>(&key.target);
    const bool has_names = textual != nullptr && !textual->names.empty();
    const std::string names = has_names ? fmt::format(" ({})", fmt::join(textual->names, ", ")) : "";
    result.emplace_back(key.name, fmt::format("{}{} [{}]", key.help, names, show(key.target)));
  }
  return result;
}

std::vector<std::pair<std::string, std::string>> KeyTable::values() const {
  std::vector<std::pair<std::string, std::string>> result;
  for (const Key& key : keys_) result.emplace_back(key.name, show_in_job(key.target));
  return result;
}

std::string KeyTable::changes(const KeyTable& defaults) const {
  std::string text;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const std::string value = show_in_job(keys_[i].target);
    if (value != show_in_job(defaults.keys_[i].target)) text += fmt::format("{}: {}\n", keys_[i].name, value);
  }
  return text;
}

}  // namespace lockstep::job
