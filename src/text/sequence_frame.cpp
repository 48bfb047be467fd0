#include "lockstep/text/sequence_frame.h"

#include <algorithm>
#include <optional>

namespace lockstep::text {
namespace {

// Returns `ids` with EOS, which is appended if it is missing. If `once`, only the first EOS is kept.
std::vector<TokenId> with_eos(const std::vector<TokenId>& ids, const std::optional<TokenId>& eos, bool once) {
  std::vector<TokenId> result;
  bool has_eos = false;
  for (const TokenId id : ids) {
    if (id == eos && has_eos && once) continue;
    has_eos = has_eos || id == eos;
    result.push_back(id);
  }
  if (eos && !has_eos) result.push_back(*eos);
  return result;
}

}  // namespace

SequenceFrame sequence_frame(const Tokenizer& tokenizer, bool has_encoder) {
  SequenceFrame frame;
  const std::optional<TokenId>& eos = tokenizer.eos_id();
  frame.before_input = tokenizer.ids_before();
  frame.after_target = with_eos(tokenizer.ids_after(), eos, /*once=*/!has_encoder);
  if (has_encoder) {
    frame.after_input = frame.after_target;
    std::ranges::copy_if(tokenizer.ids_before(), std::back_inserter(frame.before_target),
                         [&](TokenId id) { return id != eos; });
  }
  return frame;
}

std::vector<TokenId> encode_input(const Tokenizer& tokenizer, bool has_encoder, std::string_view text) {
  const SequenceFrame frame = sequence_frame(tokenizer, has_encoder);
  std::vector<TokenId> ids = frame.before_input;
  tokenizer.encode(text, ids);
  ids.insert(ids.end(), frame.after_input.begin(), frame.after_input.end());
  return ids;
}

}  // namespace lockstep::text
