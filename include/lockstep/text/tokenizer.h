#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep::text {

using TokenId = std::uint32_t;

/// A tokenizer file, to be written next to a model's weights.
struct TokenizerFile {
  std::string name;
  std::string bytes;
};

/// Converts text to token ids and back, with the special tokens and limits that a pretrained model's folder defines.
/// Immutable: all const functions may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Appends the ids of `text`, without adding BOS or EOS. Added tokens that occur in the text (such as "<extra_id_0>"
  /// or "</s>") become their own ids, as in transformers. Throws InputError, naming the byte offset, if `text` is not
  /// valid UTF-8.
  virtual void encode(std::string_view text, std::vector<TokenId>& ids) const = 0;
  std::vector<TokenId> encode(std::string_view text) const;

  /// Returns the text of `ids`, as transformers' decode() does without clean_up_tokenization_spaces.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special_tokens = true) const = 0;

  /// Returns the token as the vocabulary spells it, e.g. "Ġhello" or "▁hello". Throws Error for an unknown id.
  virtual std::string token(TokenId id) const = 0;

  /// Returns the number of entries in the vocabulary file itself.
  virtual std::size_t vocabulary_size() const = 0;

  const std::optional<TokenId>& bos_id() const { return settings_.bos; }
  const std::optional<TokenId>& eos_id() const { return settings_.eos; }
  /// Returns the id of the padding token, or that of EOS if the folder defines none.
  const std::optional<TokenId>& pad_id() const { return settings_.pad; }
  /// Returns the special tokens that transformers' tokenizer adds before a text; encode() does not add them.
  const std::vector<TokenId>& ids_before() const { return settings_.ids_before; }
  /// Returns the special tokens that transformers' tokenizer adds after a text; encode() does not add them.
  const std::vector<TokenId>& ids_after() const { return settings_.ids_after; }
  /// Returns the tokenizer's own limit in tokens; none if it states none (or transformers' "very large integer").
  const std::optional<std::size_t>& model_max_length() const { return settings_.model_max_length; }

  /// Returns the SHA-256 over the names and bytes of the files that save() writes.
  const std::string& digest() const { return settings_.digest; }

  /// Writes the tokenizer's files into an existing folder, byte for byte, so that transformers' AutoTokenizer can load
  /// it. If no padding token was defined, tokenizer_config.json gains EOS as padding token. Removes files of another
  /// tokenizer, which AutoTokenizer might prefer.
  void save(const std::filesystem::path& folder) const;

 protected:
  /// What load_tokenizer() reads from the folder besides the vocabulary.
  struct Settings {
    std::optional<TokenId> bos, eos, pad;
    std::vector<TokenId> ids_before, ids_after;  // the special tokens around a text
    std::optional<std::size_t> model_max_length;
    std::vector<TokenizerFile> files;  // as save() writes them
    std::string digest;
  };
  Tokenizer() = default;
  explicit Tokenizer(Settings settings) : settings_(std::move(settings)) {}

  Settings settings_;
};

}  // namespace lockstep::text

namespace lockstep {
using text::TokenId;
using text::Tokenizer;
}  // namespace lockstep
