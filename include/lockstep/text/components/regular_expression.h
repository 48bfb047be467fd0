#pragma once

#include <memory>
#include <string>

#include "lockstep/text/components/text_pattern.h"

struct re_pattern_buffer;

namespace lockstep::text {

/// A regular expression of Oniguruma, the engine of Hugging Face tokenizers. \w, \d, \p{L}, \p{N}, \p{M}, \p{P}, \p{S}
/// and the letter, mark and number categories follow the Unicode tables of Hugging Face tokenizers.
class Regex final : public TextPattern {
 public:
  /// Throws InputError if `pattern` is not valid.
  explicit Regex(const std::string& pattern);

  /// `text` must be valid UTF-8. Throws InputError if the search takes too long, Error if the engine fails.
  std::optional<TextRange> find(std::string_view text, std::size_t from) const override;

 private:
  struct Free {
    void operator()(re_pattern_buffer* regex) const;
  };
  std::string pattern_;
  std::unique_ptr<re_pattern_buffer, Free> regex_;
};

}  // namespace lockstep::text
