#include "text/formats/special_tokens.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace lockstep::text {
namespace {

constexpr std::string_view kCommonEos = "<|endoftext|>", kCommonPad = "<pad>";

class Resolver {
 public:
  Resolver(const TokenizerFolderSettings& settings, bool resets_options, const TokenModel& model,
           AddedTokens& added_tokens)
      : settings_(settings), resets_options_(resets_options), model_(model), added_tokens_(added_tokens) {
    for (const auto& [content, token] : added_tokens.by_content()) known_.insert(content);
  }

  bool has(std::string_view content) const {
    return added_tokens_.find(content) != nullptr || model_.find(content).has_value();
  }

  // Adds the special token of a purpose such as "eos_token", and returns its id.
  TokenId add_purposeful(const char* purpose, const std::string& content) {
    const auto named = settings_.purposeful.find(purpose);
    const bool is_default = named == settings_.purposeful.end() || named->second.content != content;
    return add(is_default ? AddedToken{.content = content, .special = true} : named->second, true);
  }

  // Adds `token`, whose id is not set, and returns its id. If the tokenizer itself has the token, only makes it
  // special. A token is special if it has a name, whatever a list without names says.
  TokenId add(AddedToken token, bool has_name) {
    if (has_name) named_.insert(token.content);
    const bool is_special = named_.contains(token.content);
    token.special = token.special || is_special;
    token.id = next_id_for(token.content, model_, added_tokens_);
    if (resets_options_) {
      token = {.content = token.content, .id = token.id, .special = true};
    } else if (known_.contains(token.content)) {
      token = *added_tokens_.find(token.content);
      token.special = token.special || (is_special && is_listed(token.content));
    }
    added_tokens_.add(token);
    return token.id;
  }

 private:
  // Returns whether transformers adds a token of the tokenizer once more.
  bool is_listed(std::string_view content) const {
    return !settings_.lists_added_tokens ||
           std::ranges::find(settings_.added_tokens, content, &AddedToken::content) != settings_.added_tokens.end();
  }

  const TokenizerFolderSettings& settings_;
  bool resets_options_;
  const TokenModel& model_;
  AddedTokens& added_tokens_;
  std::set<std::string> known_;  // before the special tokens were added
  std::set<std::string> named_;
};

}  // namespace

TokenId next_id_for(std::string_view content, const TokenModel& model, const AddedTokens& added_tokens) {
  if (const AddedToken* known = added_tokens.find(content)) return known->id;
  return model.find(content).value_or(std::max(static_cast<TokenId>(model.size()), added_tokens.end_id()));
}

SpecialTokens resolve_special_tokens(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                     const TokenModel& model, AddedTokens& added_tokens) {
  // Qwen2's class adds its special tokens once more, without options.
  Resolver resolver(settings, tokenizer_class == TokenizerClass::kQwen2, model, added_tokens);
  const SpecialTokenTexts usual = default_special_tokens(tokenizer_class);
  SpecialTokens special;
  // A padding token that only the class defines is useless if the model does not know it; EOS then pads.
  const bool pads = settings.special.pad ? !settings.special.pad->empty() : usual.pad && resolver.has(*usual.pad);
  using Text = std::optional<std::string> SpecialTokenTexts::*;
  using Entry = std::tuple<const char*, Text, std::optional<TokenId>*>;
  for (const auto& [purpose, text, id] :
       {Entry{"bos_token", &SpecialTokenTexts::bos, &special.bos},
        Entry{"eos_token", &SpecialTokenTexts::eos, &special.eos}, Entry{"unk_token", &SpecialTokenTexts::unk, nullptr},
        Entry{"sep_token", &SpecialTokenTexts::sep, &special.sep},
        Entry{"pad_token", &SpecialTokenTexts::pad, pads ? &special.pad : nullptr},
        Entry{"cls_token", &SpecialTokenTexts::cls, &special.cls},
        Entry{"mask_token", &SpecialTokenTexts::mask, nullptr}}) {
    const auto& chosen = settings.special.*text ? settings.special.*text : usual.*text;
    if (!chosen || chosen->empty()) continue;
    const TokenId chosen_id = resolver.add_purposeful(purpose, *chosen);
    if (id != nullptr) *id = chosen_id;
  }
  for (const AddedToken& token : settings.own) resolver.add(token, true);
  for (const AddedToken& token : settings.additional) resolver.add(token, false);
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
