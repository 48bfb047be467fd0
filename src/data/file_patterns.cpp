#include "data/file_patterns.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;
using Components = std::vector<std::string>;

constexpr std::string_view kAnyFolders = "**";
// Files next to the rows that hold none.
constexpr std::array<std::string_view, 6> kIgnoredFiles{"README.md",          "config.json",    "dataset_info.json",
                                                        "dataset_infos.json", "dummy_data.zip", "dataset_dict.json"};

[[noreturn]] void refuse_pattern(std::string_view pattern, std::string_view found, std::string_view remedy) {
  throw InputError(fmt::format("{}: expected a pattern of *, ?, [...] and **, found {}; {}", pattern, found, remedy));
}

Components split_path(std::string_view path) {
  Components components;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    components.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return components;
}

bool has_wildcard(std::string_view component) { return component.find_first_of("*?[") != std::string_view::npos; }

void check_component(std::string_view pattern, std::string_view component) {
  if (component.find('\\') != std::string_view::npos) {
    refuse_pattern(pattern, "a backslash", "write [*] for the character *, and likewise for ? and [");
  }
  const std::size_t brace = component.find('{');
  if (brace != std::string_view::npos && component.find('}', brace) != std::string_view::npos) {
    refuse_pattern(pattern, "braces, which only shells expand", "list one pattern for each of the alternatives");
  }
  if (component.find("[^") != std::string_view::npos) refuse_pattern(pattern, "[^...]", "write [!...]");
  for (const std::string_view start : {"[[:", "[[.", "[[="}) {
    if (component.find(start) != std::string_view::npos) {
      refuse_pattern(pattern, "a class of characters", "write the characters, e.g. [0-9]");
    }
  }
  if (component != kAnyFolders && component.find(kAnyFolders) != std::string_view::npos) {
    refuse_pattern(pattern, "** next to other characters", "write ** between slashes, e.g. data/**/*.jsonl");
  }
}

// Splits text into code points; a byte that is not UTF-8 counts as one.
std::u32string characters_of(std::string_view text) {
  std::u32string characters;
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t size = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t code = size == 1 ? first : first & (0xFFU >> (size + 1));
    std::size_t used = 1;
    while (used < size && i + used < text.size() && (static_cast<unsigned char>(text[i + used]) & 0xC0) == 0x80) {
      code = (code << 6) | (static_cast<unsigned char>(text[i + used++]) & 0x3FU);
    }
    characters += used == size ? code : 0x110000 + first;
    i += used == size ? size : 1;
  }
  return characters;
}

// The set [...] that begins at a place of a pattern.
struct CharacterSet {
  std::size_t end;  // after its closing bracket
  bool matches;
};

// Returns nullopt if the bracket at `place` opens no set, as in Python's fnmatch.
std::optional<CharacterSet> match_set(const std::u32string& pattern, std::size_t place, char32_t character) {
  std::size_t begin = place + 1;
  const bool negated = begin < pattern.size() && pattern[begin] == U'!';
  if (negated) ++begin;
  const std::size_t close = pattern.find(U']', begin < pattern.size() && pattern[begin] == U']' ? begin + 1 : begin);
  if (close == std::u32string::npos) return std::nullopt;
  bool found = false;
  for (std::size_t i = begin; i < close; ++i) {
    if (i + 2 < close && pattern[i + 1] == U'-') {
      found = found || (pattern[i] <= character && character <= pattern[i + 2]);
      i += 2;
    } else {
      found = found || pattern[i] == character;
    }
  }
  return CharacterSet{close + 1, found != negated};
}

bool match_characters(const std::u32string& name, const std::u32string& pattern) {
  std::size_t n = 0, p = 0, star = std::u32string::npos, resumed = 0;
  while (n < name.size()) {
    bool matched = false;
    std::size_t next = p + 1;
    if (p < pattern.size() && pattern[p] == U'*') {
      star = p++;
      resumed = n;
      continue;
    }
    if (p < pattern.size()) {
      const auto set = pattern[p] == U'[' ? match_set(pattern, p, name[n]) : std::nullopt;
      matched = set ? set->matches : pattern[p] == U'?' || pattern[p] == name[n];
      if (set) next = set->end;
    }
    if (matched) {
      ++n;
      p = next;
    } else if (star != std::u32string::npos) {  // let the last star match one more character
      p = star + 1;
      n = ++resumed;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == U'*') ++p;
  return p == pattern.size();
}

// Returns whether a wildcard may match a name: hidden and special names must be spelled out.
bool is_visible(std::string_view name, std::string_view component, bool is_folder) {
  if (name.starts_with('.')) return component.starts_with('.');
  if (is_folder && name.starts_with("__")) return component.starts_with("__");
  return is_folder || std::ranges::find(kIgnoredFiles, name) == kIgnoredFiles.end();
}

bool match_component(std::string_view name, std::string_view component, bool is_folder) {
  if (!has_wildcard(component)) return name == component;
  return is_visible(name, component, is_folder) && match_characters(characters_of(name), characters_of(component));
}

bool match_components(const Components& path, std::size_t i, const Components& pattern, std::size_t j) {
  if (j == pattern.size()) return i == path.size();
  if (i == path.size()) return false;
  const bool is_last = i + 1 == path.size();
  if (pattern[j] != kAnyFolders) {
    return match_component(path[i], pattern[j], !is_last) && match_components(path, i + 1, pattern, j + 1);
  }
  if (j + 1 < pattern.size() && match_components(path, i, pattern, j + 1)) return true;
  if (!is_visible(path[i], "", !is_last)) return false;
  return is_last ? j + 1 == pattern.size() : match_components(path, i + 1, pattern, j);
}

// Walks the folders that a pattern can match.
class PatternWalk {
 public:
  explicit PatternWalk(const std::string& pattern) : pattern_(pattern), components_(split_path(pattern)) {
    for (const auto& component : components_) check_component(pattern, component);
    has_any_folders_ = std::ranges::find(components_, kAnyFolders) != components_.end();
  }

  std::vector<std::string> run() {
    walk("", 0);
    std::ranges::sort(found_);
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    return std::move(found_);
  }

 private:
  // Adds what matches the components from `index` on below `base`, which is empty or ends with a slash.
  void walk(const std::string& base, std::size_t index) {
    const std::string& component = components_[index];
    const bool is_last = index + 1 == components_.size();
    if (!has_wildcard(component)) {
      if (is_last) {
        add(base + component);
      } else {
        walk(base + component + "/", index + 1);
      }
      return;
    }
    if (component == kAnyFolders && !is_last) walk(base, index + 1);
    for (const auto& entry : entries(base)) visit(base, index, entry);
  }

  void visit(const std::string& base, std::size_t index, const fs::directory_entry& entry) {
    std::error_code error;
    const std::string name = entry.path().filename().string();
    const bool is_last = index + 1 == components_.size();
    const bool is_folder = entry.is_directory(error);
    const std::string& component = components_[index];
    if (component == kAnyFolders) {
      if (!is_visible(name, "", is_folder)) return;
      if (is_folder && !entry.is_symlink(error)) walk(base + name + "/", index);
      if (is_last && !is_folder) add(base + name);
    } else if (match_component(name, component, is_folder)) {
      if (is_last) {
        add(base + name);
      } else if (is_folder) {
        walk(base + name + "/", index + 1);
      }
    }
  }

  std::vector<fs::directory_entry> entries(const std::string& base) const {
    const fs::path folder = base.empty() ? "." : base;
    std::error_code error;
    if (!fs::is_directory(folder, error)) return {};
    std::vector<fs::directory_entry> entries;
    fs::directory_iterator place(folder, error);
    for (; !error && place != fs::directory_iterator(); place.increment(error)) entries.push_back(*place);
    if (error) core::throw_system_error(fmt::format("{}: list the folder", pattern_), folder, error.value());
    return entries;
  }

  void add(const std::string& path) {
    std::error_code error;
    const bool is_saved = fs::exists(fs::path(path) / "dataset_dict.json", error) ||
                          fs::exists(fs::path(path) / "dataset_info.json", error);
    if (fs::is_regular_file(path, error) || (!has_any_folders_ && is_saved)) found_.push_back(path);
  }

  const std::string& pattern_;
  Components components_;
  bool has_any_folders_ = false;
  std::vector<std::string> found_;
};

}  // namespace

bool is_file_pattern(std::string_view text) { return text.find_first_of("*?[{") != std::string_view::npos; }

std::vector<std::string> find_matching_files(const std::string& pattern) {
  auto found = PatternWalk(pattern).run();
  if (!found.empty()) return found;
  std::error_code error;
  throw InputError(
      fmt::format("{}: expected a file that matches, found none; check the pattern (it is relative to the working "
                  "folder {})",
                  pattern, fs::current_path(error).string()));
}

bool matches_file_pattern(std::string_view path, std::string_view pattern) {
  return match_components(split_path(path), 0, split_path(pattern), 0);
}

}  // namespace lockstep::data
