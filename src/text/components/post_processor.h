#pragma once

#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// The special tokens that are added before and after a text.
struct SpecialTokensAround {
  std::vector<TokenId> before, behind;
};

/// Reads the "post_processor" of a tokenizer.json, which may be null. Throws InputError naming an unknown type, or a
/// template that does not contain the text exactly once.
SpecialTokensAround read_post_processor(const Json& json);

}  // namespace lockstep::text
