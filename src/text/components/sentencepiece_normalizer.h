#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/json.h"
#include "text/components/normalizer.h"

namespace lockstep::text {

/// The options of a SentencePiece model that decide how a text is rewritten before it is segmented.
struct SentencePieceRules {
  std::vector<std::string> user_defined_symbols = {};  // never rewritten
  bool add_dummy_prefix = true;                        // one blank before the text
  bool remove_extra_whitespaces = true;                // no spaces around the text, and only one between words
};

/// Creates the first half of the sentencepiece library's normalizer (its normalizer.cc), which replaces the longest
/// rule at each position. `precompiled` is a Precompiled component, or null for a model without rules; the result is
/// null then. Throws InputError if a rule or a symbol contains two spaces that remove_extra_whitespaces would keep.
std::unique_ptr<const Normalizer> make_sentencepiece_normalizer(const Json& precompiled,
                                                                const SentencePieceRules& rules);

/// The second half of the sentencepiece library's normalizer, which marks blanks by U+2581. It runs on every range
/// between added tokens.
class BlankMarker {
 public:
  explicit BlankMarker(const SentencePieceRules& rules)
      : add_dummy_prefix_(rules.add_dummy_prefix), remove_extra_whitespaces_(rules.remove_extra_whitespaces) {}

  /// Replaces the content of `marked` by `text` with its blanks marked.
  void apply(std::string_view text, std::string& marked) const;

 private:
  bool add_dummy_prefix_, remove_extra_whitespaces_;
};

}  // namespace lockstep::text
