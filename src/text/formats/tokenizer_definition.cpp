#include "text/formats/tokenizer_definition.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "text/formats/tokenizer_settings.h"
#include "text/models/byte_model.h"
#include "text/models/word_models.h"

namespace lockstep::text {
namespace {

std::optional<std::string> text_option(const Json& options, const char* key) {
  const auto found = options.find(key);
  return found == options.end() || found->is_null() ? std::nullopt : std::optional(found->get<std::string>());
}

bool flag(const Json& options, const char* key) {
  const auto found = options.find(key);
  return found != options.end() && found->is_boolean() && found->get<bool>();
}

std::unique_ptr<const TokenModel> make_bpe(TokenizerDefinition& definition) {
  const Json& options = definition.model_options;
  if (options.contains("dropout") && options.at("dropout").is_number() && options.at("dropout").get<double>() > 0) {
    throw InputError("model.dropout makes ids random, which is not supported; set it to null");
  }
  return std::make_unique<BpeModel>(
      std::move(definition.vocabulary), definition.merges,
      BpeModel::Options{.unk_token = text_option(options, "unk_token"),
                        .continuing_subword_prefix = text_option(options, "continuing_subword_prefix").value_or(""),
                        .end_of_word_suffix = text_option(options, "end_of_word_suffix").value_or(""),
                        .byte_fallback = flag(options, "byte_fallback"),
                        .fuse_unk = flag(options, "fuse_unk"),
                        .ignore_merges = flag(options, "ignore_merges")});
}

std::unique_ptr<const TokenModel> make_unigram(TokenizerDefinition& definition) {
  const Json& options = definition.model_options;
  const bool has_unknown = options.contains("unk_id") && !options.at("unk_id").is_null();
  return std::make_unique<UnigramModel>(
      definition.pieces, has_unknown ? std::optional(read_token_id(options.at("unk_id"))) : std::nullopt,
      flag(options, "byte_fallback"),
      definition.sentencepiece_rules ? UnigramModel::Precision::kSingle : UnigramModel::Precision::kDouble,
      definition.hidden_pieces);
}

}  // namespace

std::optional<TokenId> TokenizerDefinition::find(std::string_view token) const {
  const auto added = std::ranges::find(added_tokens, token, &AddedToken::content);
  if (added != added_tokens.end()) return added->id;
  if (const auto id = vocabulary.find(token)) return id;
  const auto piece = std::ranges::find(pieces, token, [](const auto& entry) { return entry.first; });
  if (piece != pieces.end()) return static_cast<TokenId>(piece - pieces.begin());
  return std::nullopt;
}

std::unique_ptr<const TokenModel> make_model(TokenizerDefinition& definition) {
  const std::string& type = definition.model_type();
  const Json& options = definition.model_options;
  if (type == "BPE") return make_bpe(definition);
  if (type == "Unigram") return make_unigram(definition);
  if (type == "WordLevel") {
    return std::make_unique<WordLevelModel>(std::move(definition.vocabulary), options.value("unk_token", "<unk>"));
  }
  if (type == "WordPiece") {
    return std::make_unique<WordPieceModel>(std::move(definition.vocabulary), options.value("unk_token", "[UNK]"),
                                            options.value("continuing_subword_prefix", "##"),
                                            core::json_count(options.value("max_input_chars_per_word", Json(100))));
  }
  if (type == kByteModelType) return std::make_unique<ByteModel>();
  throw InputError(fmt::format("the model '{}' is not supported", type));
}

}  // namespace lockstep::text
