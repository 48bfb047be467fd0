#include "regex.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <map>
#include <mutex>
#include <vector>

#include "character_class.h"
#include "lockstep/core/error.h"

namespace lockstep {
namespace {

const std::map<char, CharacterClass>& class_letters() {
  static const std::map<char, CharacterClass> letters{{'L', CharacterClass::kLetter},
                                                      {'N', CharacterClass::kNumber},
                                                      {'M', CharacterClass::kMark},
                                                      {'P', CharacterClass::kPunctuation},
                                                      {'S', CharacterClass::kSymbol}};
  return letters;
}

std::string message(int code, OnigErrorInfo* info = nullptr) {
  OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int length = info == nullptr ? onig_error_code_to_str(text, code) : onig_error_code_to_str(text, code, info);
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(length)};
}

// The code points of a class as Oniguruma takes them: the number of ranges, then the first and last of each.
std::vector<OnigCodePoint> code_point_ranges(CharacterClass wanted) {
  constexpr char32_t kCodePoints = 0x110000;
  std::vector<OnigCodePoint> ranges{0};
  for (char32_t c = 0; c < kCodePoints; ++c) {
    if (character_class(c) != wanted) continue;
    if (ranges.size() > 1 && ranges.back() == c - 1) {
      ranges.back() = c;
    } else {
      ranges.insert(ranges.end(), {c, c});
      ++ranges[0];
    }
  }
  return ranges;
}

// Debian's Oniguruma knows an older Unicode; the properties "lockstepL" and so on are what its \p{L} should be.
void define_properties() {
  static std::map<char, std::vector<OnigCodePoint>> ranges;  // Oniguruma keeps pointers into it
  OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
  onig_initialize(encodings, 1);
  for (const auto& [letter, kind] : class_letters()) {
    ranges[letter] = code_point_ranges(kind);
    const int code =
        onig_unicode_define_user_property(fmt::format("lockstep{}", letter).c_str(), ranges[letter].data());
    if (code != ONIG_NORMAL) throw Error("Oniguruma: " + message(code));
  }
}

std::string with_own_properties(const std::string& pattern) {
  std::string result;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool is_property = pattern.compare(i, 3, "\\p{") == 0 || pattern.compare(i, 3, "\\P{") == 0;
    if (is_property && i + 4 < pattern.size() && pattern[i + 4] == '}' && class_letters().contains(pattern[i + 3])) {
      result += fmt::format("{}lockstep{}}}", pattern.substr(i, 3), pattern[i + 3]);
      i += 4;
    } else {
      result += pattern[i];
      if (pattern[i] == '\\' && i + 1 < pattern.size()) result += pattern[++i];  // "\\\\p{L}" is no property
    }
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

}  // namespace

void Regex::Free::operator()(re_pattern_buffer* regex) const { onig_free(regex); }

Regex::Regex(const std::string& pattern) {
  static std::once_flag defined;
  std::call_once(defined, define_properties);
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
  const char* end = text.data() + text.size();
  const auto found = onig_search(regex_.get(), bytes(text.data()), bytes(end), bytes(text.data() + from), bytes(end),
                                 match.region, ONIG_OPTION_NONE);
  if (found == ONIG_MISMATCH) return std::nullopt;
  if (found < 0) throw Error("Oniguruma: " + message(static_cast<int>(found)));
  return TextRange{static_cast<std::size_t>(match.region->beg[0]), static_cast<std::size_t>(match.region->end[0])};
}

}  // namespace lockstep
