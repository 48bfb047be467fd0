#pragma once

#include <memory>
#include <string>

#include "lockstep/core/json.h"
#include "text/output_limit.h"

namespace lockstep::text {

/// A text on its way through the normalizers.
struct NormalizedText {
  std::string text;
  /// A piece that begins before this offset stems from the first character of the user's text; 0 if that was removed.
  std::size_t origin_end = 1;
  /// The limit for the size of `text`, in bytes.
  std::size_t largest = max_output_bytes(0);
};

/// Rewrites the whole text before it is split. Immutable.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& normalized) const = 0;
};

/// Creates a normalizer from the "normalizer" of a tokenizer.json; returns null for null. Throws InputError naming an
/// unknown type.
std::unique_ptr<const Normalizer> make_normalizer(const Json& json);

}  // namespace lockstep::text
