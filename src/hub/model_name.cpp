#include "hub/model_name.h"

#include <algorithm>

namespace lockstep::hub {
namespace {

constexpr std::size_t kLongestPart = 96;

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool is_name_part(std::string_view part) {
  return !part.empty() && part.size() <= kLongestPart && is_word(part.front()) && is_word(part.back()) &&
         std::ranges::all_of(part, [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

bool is_repository(std::string_view text) {
  if (contains(text, "--") || contains(text, "..") || text.ends_with(".git")) return false;
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_name_part(text);
  return is_name_part(text.substr(0, slash)) && is_name_part(text.substr(slash + 1));
}

// Checks git check-ref-format's rules, as far as a file's path needs them.
bool is_revision(std::string_view text) {
  const auto is_allowed = [](char c) { return c > ' ' && c != 0x7f && !contains("~^:?*[\\", {&c, 1}); };
  return !text.empty() && !contains(text, "..") && !contains(text, "//") && !contains(text, "/.") &&
         text.front() != '/' && text.front() != '.' && text.front() != '-' && text.back() != '/' &&
         std::ranges::all_of(text, is_allowed);
}

}  // namespace

std::optional<ModelName> parse_model_name(std::string_view text) {
  ModelName name;
  const std::size_t at = text.find('@');
  name.repository = text.substr(0, at);
  if (at != std::string_view::npos) name.revision = text.substr(at + 1);
  if (!is_repository(name.repository) || !is_revision(name.revision)) return std::nullopt;
  return name;
}

bool is_commit(std::string_view revision) {
  return revision.size() == 40 &&
         std::ranges::all_of(revision, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace lockstep::hub
