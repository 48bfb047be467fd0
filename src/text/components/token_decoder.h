#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/core/json.h"

namespace lockstep::text {

/// A step from tokens to text, which rewrites, splits or joins tokens; those left after the last step are concatenated.
/// Immutable.
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// Creates a decoder from the "decoder" of a tokenizer.json; returns null for null. Throws InputError naming an unknown
/// type.
std::unique_ptr<const TokenDecoder> make_token_decoder(const Json& json);

}  // namespace lockstep::text
