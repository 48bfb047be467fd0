#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/core/json.h"

namespace lockstep::text {

/// A step from tokens to text: rewrites, splits or joins them; all that are left at the end are joined. Immutable.
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// From the "decoder" of a tokenizer.json; null for null. Throws InputError naming a type that is not known.
std::unique_ptr<const TokenDecoder> make_token_decoder(const Json& json);

}  // namespace lockstep::text
