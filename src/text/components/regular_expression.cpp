#include "lockstep/text/components/regular_expression.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "lockstep/core/error.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

using Predicate = std::function<bool(char32_t)>;

bool has_class(char32_t c, CharacterClass wanted) { return character_class(c) == wanted; }

// Implements Oniguruma's \w: unlike the Rust crate's, it includes the superscript and fraction digits of Latin-1 but no
// joiners.
bool is_oniguruma_word(char32_t c) {
  if (c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0xBC && c <= 0xBE)) return true;
  return c != 0x200C && c != 0x200D && is_word_character(c);
}

// The properties that patterns use, by their name in \p{...}. Oniguruma has room for 20 user-defined ones.
const std::map<std::string, Predicate, std::less<>>& properties() {
  static const auto properties = [] {
    std::map<std::string, Predicate, std::less<>> map{
        {"L", [](char32_t c) { return has_class(c, CharacterClass::kLetter); }},
        {"N", [](char32_t c) { return has_class(c, CharacterClass::kNumber); }},
        {"M", [](char32_t c) { return has_class(c, CharacterClass::kMark); }},
        {"P", [](char32_t c) { return has_class(c, CharacterClass::kPunctuation); }},
        {"S", [](char32_t c) { return has_class(c, CharacterClass::kSymbol); }},
        {"Word", is_oniguruma_word}};
    constexpr std::pair<const char*, GeneralCategory> kCategories[] = {
        {"Lu", GeneralCategory::kLu}, {"Ll", GeneralCategory::kLl}, {"Lt", GeneralCategory::kLt},
        {"Lm", GeneralCategory::kLm}, {"Lo", GeneralCategory::kLo}, {"Mn", GeneralCategory::kMn},
        {"Mc", GeneralCategory::kMc}, {"Me", GeneralCategory::kMe}, {"Nd", GeneralCategory::kNd},
        {"Nl", GeneralCategory::kNl}, {"No", GeneralCategory::kNo}};
    for (const auto& [name, category] : kCategories) {
      map.emplace(name, [wanted = category](char32_t c) { return general_category(c) == wanted; });
    }
    return map;
  }();
  return properties;
}

std::string message(int code, OnigErrorInfo* info = nullptr) {
  OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int length = info == nullptr ? onig_error_code_to_str(text, code) : onig_error_code_to_str(text, code, info);
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(length)};
}

// Converts a set of code points to Oniguruma's form: the number of ranges, then the first and last of each.
std::vector<OnigCodePoint> code_point_ranges(const Predicate& contains) {
  constexpr char32_t kCodePoints = 0x110000;
  std::vector<OnigCodePoint> ranges{0};
  for (char32_t c = 0; c < kCodePoints; ++c) {
    if (!contains(c)) continue;
    if (ranges.size() > 1 && ranges.back() == c - 1) {
      ranges.back() = c;
    } else {
      ranges.insert(ranges.end(), {c, c});
      ++ranges[0];
    }
  }
  return ranges;
}

// Defines a property by the tables of character_class.h and returns its name ("lockstepL" for "L"), because Debian's
// Oniguruma has older tables.
std::string define_property(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string, std::vector<OnigCodePoint>, std::less<>> defined;  // Oniguruma keeps pointers into it
  const std::lock_guard lock(mutex);
  const std::string own = fmt::format("lockstep{}", name);
  if (defined.contains(name)) return own;
  OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
  if (defined.empty()) onig_initialize(encodings, 1);
  auto& ranges = defined[std::string(name)] = code_point_ranges(properties().find(name)->second);
  const int code = onig_unicode_define_user_property(own.c_str(), ranges.data());
  if (code != ONIG_NORMAL) throw Error("Oniguruma: " + message(code));
  return own;
}

// Rewrites the pattern so that its \p{...}, \w and \d use those properties.
std::string with_own_properties(std::string_view pattern) {
  std::string result;
  while (!pattern.empty()) {
    if (pattern[0] != '\\' || pattern.size() < 2) {
      result += pattern[0];
      pattern.remove_prefix(1);
      continue;
    }
    const char kind = pattern[1];
    std::size_t length = 2;
    std::string_view name;
    if (kind == 'w' || kind == 'W') name = "Word";
    if (kind == 'd' || kind == 'D') name = "Nd";
    if ((kind == 'p' || kind == 'P') && pattern.substr(2).starts_with('{') &&
        pattern.find('}') != std::string_view::npos) {
      length = pattern.find('}') + 1;
      name = pattern.substr(3, length - 4);
    }
    if (properties().contains(name)) {
      const bool is_negated = kind == 'P' || kind == 'W' || kind == 'D';
      result += fmt::format("\\{}{{{}}}", is_negated ? 'P' : 'p', define_property(name));
    } else {
      result += pattern.substr(0, length);
    }
    pattern.remove_prefix(length);
  }
  return result;
}

const OnigUChar* bytes(const char* text) { return reinterpret_cast<const OnigUChar*>(text); }

struct Region {
  OnigRegion* region = onig_region_new();
  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region() { onig_region_free(region, 1); }
};

struct MatchParameters {
  OnigMatchParam* parameters = onig_new_match_param();
  MatchParameters() { onig_initialize_match_param(parameters); }
  MatchParameters(const MatchParameters&) = delete;
  MatchParameters& operator=(const MatchParameters&) = delete;
  ~MatchParameters() { onig_free_match_param(parameters); }
};

// Limits the backtracking of a search. Usual patterns backtrack a few times per character, hostile ones practically
// forever.
constexpr unsigned long kRetries = 1'000'000, kRetriesPerByte = 100;

}  // namespace

void Regex::Free::operator()(re_pattern_buffer* regex) const { onig_free(regex); }

Regex::Regex(const std::string& pattern) : pattern_(pattern) {
  const std::string own = with_own_properties(pattern);
  OnigRegex regex = nullptr;
  OnigErrorInfo info{};
  const int code = onig_new(&regex, bytes(own.data()), bytes(own.data() + own.size()), ONIG_OPTION_NONE,
                            ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (code != ONIG_NORMAL) {
    throw InputError(fmt::format("the regular expression '{}' is not valid: {}", pattern, message(code, &info)));
  }
  regex_.reset(regex);
}

std::optional<TextRange> Regex::find(std::string_view text, std::size_t from) const {
  thread_local Region match;
  thread_local MatchParameters parameters;
  onig_set_retry_limit_in_search_of_match_param(parameters.parameters, kRetries + kRetriesPerByte * text.size());
  const char* end = text.data() + text.size();
  const auto found = onig_search_with_param(regex_.get(), bytes(text.data()), bytes(end), bytes(text.data() + from),
                                            bytes(end), match.region, ONIG_OPTION_NONE, parameters.parameters);
  if (found == ONIG_MISMATCH) return std::nullopt;
  if (found == ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER || found == ONIGERR_RETRY_LIMIT_IN_MATCH_OVER) {
    throw InputError(
        fmt::format("the regular expression '{}' takes too long for a text of {} bytes", pattern_, text.size()));
  }
  if (found < 0) throw Error("Oniguruma: " + message(static_cast<int>(found)));
  return TextRange{static_cast<std::size_t>(match.region->beg[0]), static_cast<std::size_t>(match.region->end[0])};
}

}  // namespace lockstep::text
