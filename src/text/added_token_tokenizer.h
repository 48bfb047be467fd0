#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "added_tokens.h"
#include "lockstep/text/tokenizer.h"
#include "tokenizer_settings.h"

namespace lockstep {

/// A tokenizer that finds added tokens first and gives the text between them to its model.
class AddedTokenTokenizer : public Tokenizer {
 public:
  void encode(std::string_view text, std::vector<TokenId>& ids) const final;
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const final;
  std::string token(TokenId id) const final;

 protected:
  /// Where the settings name no special token, these do.
  struct Defaults {
    std::optional<std::string> bos, eos, pad;
    const char* tokenizer_class;  // for a folder without tokenizer_config.json
  };
  using IdOf = std::function<std::optional<TokenId>(const std::string&)>;

  AddedTokenTokenizer(Settings settings, AddedTokens added_tokens)
      : Tokenizer(std::move(settings)), added_tokens_(std::move(added_tokens)) {}

  /// `id_of` looks a token's text up in the vocabulary. Special tokens become added tokens, as in transformers. Throws
  /// InputError if one is in neither.
  static Settings make_settings(const std::filesystem::path& folder, const TokenizerFolderSettings& folder_settings,
                                const Defaults& defaults, const IdOf& id_of, AddedTokens& added_tokens);

  /// Appends the ids of text without added tokens; not empty.
  virtual void encode_text(std::string_view text, std::vector<TokenId>& ids) const = 0;
  /// The model's token; none for an id that it does not have.
  virtual std::optional<std::string> model_token(TokenId id) const = 0;
  /// Tokens to text.
  virtual std::string join(const std::vector<std::string>& tokens) const = 0;

 private:
  AddedTokens added_tokens_;
};

}  // namespace lockstep
