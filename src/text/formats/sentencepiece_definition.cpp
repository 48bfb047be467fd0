#include "text/formats/sentencepiece_definition.h"

#include <fmt/format.h>
#include <algorithm>
#include <tuple>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "text/formats/base64.h"
#include "text/formats/sentencepiece_proto.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

namespace fs = std::filesystem;
using Proto = SentencePieceProto;

constexpr std::uint32_t kDefaultExtraIds = 100;  // the default of transformers' T5Tokenizer

// Returns all pairs of tokens that form a token, sorted by its id (transformers' generate_merges), because
// SentencePiece's BPE has no list of merges.
BpeModel::Merges generate_merges(const std::vector<Proto::Piece>& pieces, const Vocabulary& vocabulary) {
  struct Pair {
    TokenId merged;
    std::size_t left_characters, right_characters;
    TokenId left, right;
    std::size_t left_bytes;
  };
  std::vector<Pair> pairs;
  for (TokenId id = 0; id < pieces.size(); ++id) {
    const std::string_view text = pieces[id].text;
    if (vocabulary.find(text) != id) continue;  // a later piece has the same text
    std::size_t characters = 0;
    for (std::size_t i = 0; i < text.size(); ++i) characters += is_continuation_byte(text[i]) ? 0 : 1;
    std::size_t characters_before = 0;
    for (std::size_t cut = 0; cut < text.size();) {
      do {
        ++cut;
      } while (cut < text.size() && is_continuation_byte(text[cut]));
      ++characters_before;
      if (cut == text.size()) break;
      const auto left = vocabulary.find(text.substr(0, cut)), right = vocabulary.find(text.substr(cut));
      if (left && right) pairs.push_back({id, characters_before, characters - characters_before, *left, *right, cut});
    }
  }
  std::ranges::sort(pairs, {}, [](const Pair& pair) {
    return std::tuple(pair.merged, pair.left_characters, pair.right_characters, pair.left, pair.right);
  });
  BpeModel::Merges merges;
  merges.reserve(pairs.size());
  for (const Pair& pair : pairs) {
    const std::string& text = pieces[pair.merged].text;
    merges.emplace_back(text.substr(0, pair.left_bytes), text.substr(pair.left_bytes));
  }
  return merges;
}

Json precompiled(const Proto& proto) {
  if (proto.precompiled_charsmap.empty()) return nullptr;
  return {{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(proto.precompiled_charsmap)}};
}

// Appends the extra ids after the file's own pieces, in descending order: <extra_id_0> gets the highest id.
void append_extra_ids(const Json& config, TokenizerDefinition& definition) {
  auto id = static_cast<TokenId>(definition.pieces.size());
  for (std::uint32_t i = read_extra_ids(config, kDefaultExtraIds); i > 0; --i) {
    definition.added_tokens.push_back({.content = fmt::format("<extra_id_{}>", i - 1), .id = id++, .special = true});
  }
}

// Builds the components that transformers uses for a model without a tokenizer class of its own.
void build_generic(const Proto& proto, TokenizerDefinition& definition) {
  const Json replace{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  definition.normalizer = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  if (Json charsmap = precompiled(proto); !charsmap.is_null()) definition.normalizer["normalizers"].push_back(charsmap);
  definition.normalizer["normalizers"].push_back(replace);
  const Json back{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}};
  definition.decoder = {{"type", "Sequence"}, {"decoders", Json::array({back})}};
  if (proto.byte_fallback) {
    definition.decoder["decoders"].push_back({{"type", "ByteFallback"}});
    definition.decoder["decoders"].push_back({{"type", "Fuse"}});
  }
  definition.model_options["byte_fallback"] = proto.byte_fallback;
  if (definition.model_type() == "BPE") {
    definition.model_options["unk_token"] = proto.unk_piece;
    definition.model_options["fuse_unk"] = true;
  } else {
    definition.model_options["unk_id"] = proto.unk_id;
  }
}

TokenizerDefinition make_definition(const Proto& proto, TokenizerClass tokenizer_class,
                                    TokenizerFolderSettings& settings) {
  TokenizerDefinition definition;
  const bool is_generic = tokenizer_class == TokenizerClass::kGeneric;
  const bool is_unigram = is_generic ? proto.model_type == Proto::kUnigram : tokenizer_class == TokenizerClass::kT5;
  definition.model_options["type"] = is_unigram ? "Unigram" : "BPE";
  for (TokenId id = 0; id < proto.pieces.size(); ++id) {
    const Proto::Piece& piece = proto.pieces[id];
    const bool is_control = piece.type == Proto::kControl;
    if (is_unigram) {
      definition.pieces.emplace_back(piece.text, piece.score);
    } else {
      definition.vocabulary.add(piece.text, id);
    }
    if (is_control || piece.type == Proto::kUserDefined) {
      definition.added_tokens.push_back({.content = piece.text, .id = id, .special = is_control});
    }
  }
  if (!is_unigram) definition.merges = generate_merges(proto.pieces, definition.vocabulary);
  if (is_generic) {
    build_generic(proto, definition);
    const auto name = [](std::optional<std::string>& token, std::int64_t id, const std::string& piece) {
      if (!token && id >= 0) token = piece;
    };
    name(settings.special.bos, proto.bos_id, proto.bos_piece);
    name(settings.special.eos, proto.eos_id, proto.eos_piece);
    name(settings.special.unk, proto.unk_id, proto.unk_piece);
  } else {
    definition.normalizer = precompiled(proto);
    definition.uses_sentencepiece_rules = tokenizer_class == TokenizerClass::kT5;
  }
  if (tokenizer_class == TokenizerClass::kT5) append_extra_ids(settings.config, definition);
  return definition;
}

}  // namespace

TokenizerDefinition read_sentencepiece_model(const fs::path& path, TokenizerClass tokenizer_class,
                                             TokenizerFolderSettings& settings) {
  try {
    return make_definition(parse_sentencepiece_proto(core::read_file(path)), tokenizer_class, settings);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", path.string(), error.what()));
  }
}

}  // namespace lockstep::text
