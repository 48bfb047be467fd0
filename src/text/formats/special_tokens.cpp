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

 private:
  TokenId next_id() const { return std::max(static_cast<TokenId>(model_.size()), added_tokens_.end_id()); }

  const TokenModel& model_;
  AddedTokens& added_tokens_;
};

}  // namespace

SpecialTokens resolve_special_tokens(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                     const TokenModel& model, AddedTokens& added_tokens) {
  Resolver resolver(model, added_tokens);
  const SpecialTokenTexts usual = default_special_tokens(tokenizer_class);
  SpecialTokens special;
  // A padding token that only the class defines is useless if the model does not know it; EOS then pads.
  const bool pads = settings.special.pad || (usual.pad && resolver.has(*usual.pad));
  using Text = std::optional<std::string> SpecialTokenTexts::*;
  for (const auto& [text, id] : {std::pair<Text, std::optional<TokenId>*>{&SpecialTokenTexts::bos, &special.bos},
                                 {&SpecialTokenTexts::eos, &special.eos},
                                 {&SpecialTokenTexts::unk, nullptr},
                                 {&SpecialTokenTexts::sep, &special.sep},
                                 {&SpecialTokenTexts::pad, pads ? &special.pad : nullptr},
                                 {&SpecialTokenTexts::cls, &special.cls},
                                 {&SpecialTokenTexts::mask, nullptr}}) {
    const auto& chosen = settings.special.*text ? settings.special.*text : usual.*text;
    if (!chosen) continue;
    const TokenId chosen_id = resolver.make_special(*chosen);
    if (id != nullptr) *id = chosen_id;
  }
  for (const std::string& token : settings.additional_special_tokens) resolver.make_special(token);
  return special;
}

SpecialTokensAround resolve_frame(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                  const SpecialTokens& special, const Json& post_processor, bool has_tokenizer_json) {
  SpecialTokensAround frame;
  const auto add = [](const std::optional<TokenId>& id, std::vector<TokenId>& side) {
    if (id) side.push_back(*id);
  };
  if (tokenizer_class == TokenizerClass::kT5 || tokenizer_class == TokenizerClass::kByT5) {
    add(special.eos, frame.behind);
  } else if (tokenizer_class == TokenizerClass::kRoberta) {
    add(special.cls, frame.before);
    add(special.sep, frame.behind);
  } else if (post_processor.is_null() && !has_tokenizer_json) {
    if (settings.add_bos_token) add(special.bos, frame.before);
    if (settings.add_eos_token) add(special.eos, frame.behind);
  } else {
    frame = read_post_processor(post_processor);
  }
  return frame;
}

void infer_special_tokens(const SpecialTokensAround& frame, const TokenModel& model, const AddedTokens& added_tokens,
                          SpecialTokens& special) {
  const auto first = [](const std::vector<TokenId>& ids) { return ids.empty() ? std::nullopt : std::optional(ids[0]); };
  const auto find = [&](std::string_view content) {
    const AddedToken* added = added_tokens.find(content);
    return added != nullptr ? std::optional(added->id) : model.find(content);
  };
  if (!frame.before.empty()) special.bos = first(frame.before);
  if (!special.eos) special.eos = first(frame.behind);
  if (!special.eos) special.eos = find(kCommonEos);
  const AddedToken* pad = added_tokens.find(kCommonPad);
  if (!special.pad && pad != nullptr && pad->special) special.pad = pad->id;
}

}  // namespace lockstep::text
