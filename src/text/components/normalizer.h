#pragma once

#include <memory>
#include <string>

#include "lockstep/core/json.h"
#include "text/text_growth.h"

namespace lockstep::text {

/// A text on its way through the normalizers.
struct NormalizedText {
  std::string text;
  /// A piece that begins before this place stems from the first character that the user gave; 0 if that was removed.
  std::size_t origin_end = 1;
  /// The bytes that `text` may become.
  std::size_t largest = largest_growth(0);
};

/// A rewriting of the whole text before it is split. Immutable.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& normalized) const = 0;
};

/// From the "normalizer" of a tokenizer.json; null for null. Throws InputError naming a type that is not known.
std::unique_ptr<const Normalizer> make_normalizer(const Json& json);

}  // namespace lockstep::text
