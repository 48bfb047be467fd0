#pragma once

#include <memory>
#include <string>

#include "lockstep/text/components/text_pattern.h"

struct re_pattern_buffer;

namespace lockstep::text {

/// A regular expression of Oniguruma, the engine of Hugging Face tokenizers, with that library's Unicode tables for
/// \w, \d, \p{L}, \p{N}, \p{M}, \p{P}, \p{S} and the categories that they consist of.
class Regex final : public TextPattern {
 public:
  /// Throws InputError naming what is wrong with `pattern`.
  explicit Regex(const std::string& pattern);

  /// `text` must be valid UTF-8. Throws InputError where the search takes too long, Error if
  /// the engine gives up.
  std::optional<TextRange> find(std::string_view text, std::size_t from) const override;

 private:
  struct Free {
    void operator()(re_pattern_buffer* regex) const;
  };
  std::string pattern_;
  std::unique_ptr<re_pattern_buffer, Free> regex_;
};

}  // namespace lockstep::text
