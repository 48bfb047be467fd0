#pragma once

#include <memory>
#include <vector>

#include "lockstep/core/json.h"
#include "text/pieces.h"

namespace lockstep::text {

/// A step that splits or rewrites the pieces of a text before the model sees them. Immutable.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

/// All steps of a tokenizer, in order.
struct PreTokenizers {
  std::vector<std::unique_ptr<const PreTokenizer>> steps;
  /// True if the last step spells every byte in GPT-2's alphabet. That step is left to the caller of the model, which
  /// can skip it for cached words.
  bool ends_in_byte_alphabet = false;

  void apply(Pieces& pieces) const {
    for (const auto& step : steps) step->apply(pieces);
  }
};

/// Creates the steps from the "pre_tokenizer" of a tokenizer.json, which may be null. Throws InputError naming an
/// unknown type.
PreTokenizers make_pre_tokenizers(const Json& json);

}  // namespace lockstep::text
