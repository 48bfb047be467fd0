#pragma once

#include <memory>
#include <vector>

#include "lockstep/core/json.h"
#include "text/pieces.h"

namespace lockstep::text {

/// A step that cuts or rewrites the pieces of a text before the model sees them. Immutable.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

/// All steps of a tokenizer, in order.
struct PreTokenizers {
  std::vector<std::unique_ptr<const PreTokenizer>> steps;
  /// The last step is to spell every byte in GPT-2's alphabet: left to the model's side, which need not do it for a
  /// word that it knows.
  bool ends_in_byte_alphabet = false;

  void apply(Pieces& pieces) const {
    for (const auto& step : steps) step->apply(pieces);
  }
};

/// From the "pre_tokenizer" of a tokenizer.json, which may be null. Throws InputError naming a type that is not known.
PreTokenizers make_pre_tokenizers(const Json& json);

}  // namespace lockstep::text
