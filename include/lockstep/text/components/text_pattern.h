#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/core/json.h"

namespace lockstep::text {

struct TextRange {
  std::size_t begin, end;
};

/// A pattern to search for in a text.
class TextPattern {
 public:
  virtual ~TextPattern() = default;
  /// Returns the leftmost match that begins at byte `from` or later, if there is one.
  virtual std::optional<TextRange> find(std::string_view text, std::size_t from) const = 0;
};

/// Reads a pattern of a tokenizer.json: {"String": ...} or {"Regex": ...}. Throws InputError for anything else.
std::unique_ptr<const TextPattern> make_text_pattern(const Json& json);

/// Returns the value of `key`, which must be a single character, as Hugging Face tokenizers requires. Throws InputError
/// otherwise.
std::string read_character(const Json& component, const char* key);

/// Calls on_match(TextRange) for all matches from left to right, except empty ones directly after another match.
template <typename OnMatch>
void for_each_match(const TextPattern& pattern, std::string_view text, const OnMatch& on_match) {
  std::optional<std::size_t> last_end;
  for (std::size_t from = 0; from <= text.size();) {
    const auto match = pattern.find(text, from);
    if (!match) return;
    if (match->begin == match->end && last_end == match->end) {
      do {
        ++from;
      } while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80);
      continue;
    }
    from = match->end;
    last_end = match->end;
    on_match(*match);
  }
}

}  // namespace lockstep::text
