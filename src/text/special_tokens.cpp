#include "special_tokens.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr std::string_view kCommonEos = "<|endoftext|>", kCommonPad = "<pad>";

class Resolver {
 public:
  Resolver(const TokenModel& model, AddedTokens& added_tokens) : model_(model), added_tokens_(added_tokens) {}

  // None if the vocabulary lacks the token.
  std::optional<TokenId> find(const std::string& content) {
    const AddedToken* known = added_tokens_.find(content);
    AddedToken token = known ? *known : AddedToken{.content = content};
    if (!known) {
      const auto id = model_.find(content);
      if (!id) return std::nullopt;
      token.id = *id;
    }
    token.special = true;
    added_tokens_.add(token);
    return token.id;
  }

  TokenId require(const std::string& content) {
    if (const auto id = find(content)) return *id;
    throw InputError(fmt::format("the special token '{}' is not in the vocabulary", content));
  }

  // The token that the settings name, else that of the class if the vocabulary has it.
  std::optional<TokenId> choose(const std::optional<std::string>& named, const std::optional<std::string>& usual) {
    if (named) return require(*named);
    return usual ? find(*usual) : std::nullopt;
  }

  // A special token that is already among the added ones.
  std::optional<TokenId> find_special(std::string_view content) const {
    const AddedToken* known = added_tokens_.find(content);
    return known != nullptr && known->special ? std::optional(known->id) : std::nullopt;
  }

  // An id that the post-processor names becomes an added token too.
  std::optional<TokenId> adopt(std::optional<TokenId> id) {
    if (!id || added_tokens_.find(*id) != nullptr) return id;
    const auto text = model_.token(*id);
    return text ? find(std::string(*text)) : std::nullopt;
  }

 private:
  const TokenModel& model_;
  AddedTokens& added_tokens_;
};

}  // namespace

SpecialTokens resolve_special_tokens(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                     const SpecialFrame& frame, const TokenModel& model, AddedTokens& added_tokens) {
  Resolver resolver(model, added_tokens);
  const SpecialTokenTexts usual = default_special_tokens(tokenizer_class);
  SpecialTokens special;
  special.bos = resolver.choose(settings.bos, usual.bos);
  special.eos = resolver.choose(settings.eos, usual.eos);
  special.pad = resolver.choose(settings.pad, usual.pad);
  resolver.choose(settings.unk, usual.unk);
  for (const std::string& token : settings.additional_special_tokens) resolver.require(token);

  const auto first = [](const std::vector<TokenId>& ids) { return ids.empty() ? std::nullopt : std::optional(ids[0]); };
  special.frames_with_bos = !frame.before.empty();
  special.frames_with_eos = !frame.behind.empty();
  if (special.frames_with_bos) special.bos = resolver.adopt(first(frame.before));
  if (!special.eos) special.eos = resolver.adopt(first(frame.behind));
  if (!special.eos) special.eos = resolver.find(std::string(kCommonEos));
  if (!special.pad) special.pad = resolver.find_special(kCommonPad);
  return special;
}

}  // namespace lockstep
