#pragma once

#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// The special tokens that stand round one text.
struct SpecialFrame {
  std::vector<TokenId> before, behind;
};

/// From the "post_processor" of a tokenizer.json, which may be null. Throws InputError naming a type that is not known.
SpecialFrame read_post_processor(const Json& json);

}  // namespace lockstep::text
