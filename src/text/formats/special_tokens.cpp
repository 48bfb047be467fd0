#include "text/formats/special_tokens.h"

#include <algorithm>

namespace lockstep::text {
namespace {

constexpr std::string_view kCommonEos = "<|endoftext|>", kCommonPad = "<pad>";

class Resolver {
 public:
  Resolver(const TokenModel& model, AddedTokens& added_tokens) : model_(model), added_tokens_(added_tokens) {}

  bool has(std::string_view content) const {
    return added_tokens_.find(content) != nullptr || model_.find(content).has_value();
  }

  // Makes `content` a special token and returns its id.
  TokenId make_special(const std::string& content) {
    const AddedToken* known = added_tokens_.find(content);
    AddedToken token = known ? *known : AddedToken{.content = content};
    if (!known) token.id = model_.find(content).value_or(next_id());
    token.special = true;
    added_tokens_.add(token);
    return token.id;
  }

  // Returns the id of an added token that is special.
  std::optional<TokenId> find_special(std::string_view content) const {
    const AddedToken* known = added_tokens_.find(content);
    return known != nullptr && known->special ? std::optional(known->id) : std::nullopt;
  }

  // Makes the token of an id that the post-processor names an added token, too.
  std::optional<TokenId> adopt(std::optional<TokenId> id) {
    if (!id || added_tokens_.find(*id) != nullptr) return id;
    const auto text = model_.token(*id);
    return text ? std::optional(make_special(std::string(*text))) : std::nullopt;
  }

 private:
  TokenId next_id() const { return std::max(static_cast<TokenId>(model_.size()), added_tokens_.end_id()); }

  const TokenModel& model_;
  AddedTokens& added_tokens_;
};

}  // namespace

SpecialTokens resolve_special_tokens(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                     const SpecialTokensAround& frame, const TokenModel& model,
                                     AddedTokens& added_tokens) {
  Resolver resolver(model, added_tokens);
  const SpecialTokenTexts usual = default_special_tokens(tokenizer_class);
  SpecialTokens special;
  // A padding token that only the class defines is useless if the model does not know it; EOS then pads.
  const bool pads = settings.special.pad || (usual.pad && resolver.has(*usual.pad));
  using Text = std::optional<std::string> SpecialTokenTexts::*;
  for (const auto& [text, id] : {std::pair<Text, std::optional<TokenId>*>{&SpecialTokenTexts::bos, &special.bos},
                                 {&SpecialTokenTexts::eos, &special.eos},
                                 {&SpecialTokenTexts::unk, nullptr},
                                 {&SpecialTokenTexts::sep, nullptr},
                                 {&SpecialTokenTexts::pad, pads ? &special.pad : nullptr},
                                 {&SpecialTokenTexts::cls, nullptr},
                                 {&SpecialTokenTexts::mask, nullptr}}) {
    const auto& chosen = settings.special.*text ? settings.special.*text : usual.*text;
    if (!chosen) continue;
    const TokenId chosen_id = resolver.make_special(*chosen);
    if (id != nullptr) *id = chosen_id;
  }
  for (const std::string& token : settings.additional_special_tokens) resolver.make_special(token);

  const auto first = [](const std::vector<TokenId>& ids) { return ids.empty() ? std::nullopt : std::optional(ids[0]); };
  special.frames_with_bos = !frame.before.empty();
  special.frames_with_eos = !frame.behind.empty();
  if (special.frames_with_bos) special.bos = resolver.adopt(first(frame.before));
  if (!special.eos) special.eos = resolver.adopt(first(frame.behind));
  if (!special.eos && resolver.has(kCommonEos)) special.eos = resolver.make_special(std::string(kCommonEos));
  if (!special.pad) special.pad = resolver.find_special(kCommonPad);
  return special;
}

}  // namespace lockstep::text
