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
    for (const char byte : text) characters += is_continuation_byte(byte) ? 0 : 1;
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

const char* name_of(Proto::ModelType type) {
  switch (type) {
    case Proto::kUnigram:
      return "unigram";
    case Proto::kBpe:
      return "bpe";
    case Proto::kWord:
      return "word";
    case Proto::kChar:
      return "char";
  }
  return "unknown";
}

// Throws InputError for an option of the model that the class cannot honour.
void check_options(const Proto& proto, TokenizerClass tokenizer_class) {
  constexpr const char* kRemedy = "save the tokenizer with transformers, which writes tokenizer.json";
  const bool is_unigram = proto.model_type == Proto::kUnigram;
  const bool is_bpe = proto.model_type == Proto::kBpe;
  const char* expected = nullptr;
  switch (tokenizer_class) {
    case TokenizerClass::kGeneric:
      if (!is_unigram && !is_bpe) expected = "unigram or bpe";
      break;
    case TokenizerClass::kT5:
      if (!is_unigram) expected = "unigram";
      break;
    case TokenizerClass::kLlama:
    case TokenizerClass::kGemma:
      if (!is_bpe) expected = "bpe";
      break;
    default:
      throw InputError(fmt::format("the tokenizer class {} does not read SentencePiece models; {}",
                                   name_of(tokenizer_class), kRemedy));
  }
  if (expected != nullptr) {
    throw InputError(fmt::format("trainer_spec.model_type: expected {} for the tokenizer class {}, found {}; {}",
                                 expected, name_of(tokenizer_class), name_of(proto.model_type), kRemedy));
  }
  if (proto.treat_whitespace_as_suffix) {
    throw InputError(fmt::format("trainer_spec.treat_whitespace_as_suffix: expected false, found true; {}", kRemedy));
  }
  if (!proto.escape_whitespaces) {
    throw InputError(fmt::format("normalizer_spec.escape_whitespaces: expected true, found false; {}", kRemedy));
  }
}

// Reads the pieces as transformers does.
void read_pieces(const Proto& proto, TokenizerDefinition& definition) {
  const bool is_unigram = definition.model_type() == "Unigram";
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
}

// Names the special tokens of the file that the settings do not name.
void adopt_special_tokens(const Proto& proto, TokenizerFolderSettings& settings) {
  const auto name = [](std::optional<std::string>& token, std::int64_t id, const std::string& piece) {
    if (!token && id >= 0) token = piece;
  };
  name(settings.special.bos, proto.bos_id, proto.bos_piece);
  name(settings.special.eos, proto.eos_id, proto.eos_piece);
  name(settings.special.unk, proto.unk_id, proto.unk_piece);
}

// Returns the score by which the library (0.2.3) prefers a symbol of the user to normal pieces.
float symbol_score(std::string_view symbol) {
  return static_cast<float>(static_cast<double>(symbol.size()) * 0.1 - 0.1);
}

// Builds T5's tokenizer, whose ids are those of the sentencepiece library.
void build_t5_model(const Proto& proto, TokenizerFolderSettings& settings, TokenizerDefinition& definition) {
  SentencePieceRules rules{.add_dummy_prefix = proto.add_dummy_prefix,
                           .remove_extra_whitespaces = proto.remove_extra_whitespaces};
  std::optional<TokenId> unk_id;
  for (TokenId id = 0; id < proto.pieces.size(); ++id) {
    const auto& [text, score, type] = proto.pieces[id];
    definition.pieces.emplace_back(text, type == Proto::kUserDefined ? symbol_score(text) : score);
    if (type != Proto::kNormal && type != Proto::kUserDefined) definition.hidden_pieces.push_back(id);
    if (type == Proto::kUserDefined) rules.user_defined_symbols.push_back(text);
    if (type == Proto::kControl) definition.added_tokens.push_back({.content = text, .id = id, .special = true});
    if (type != Proto::kUnknown) continue;
    unk_id = id;
    if (!settings.special.unk) settings.special.unk = text;
  }
  if (!unk_id) throw InputError("expected a piece of the type UNKNOWN, found none");
  const auto adopt = [&](std::optional<std::string>& token, const std::string& piece) {
    const bool is_known =
        std::ranges::any_of(definition.added_tokens, [&](const AddedToken& added) { return added.content == piece; });
    if (!token && is_known) token = piece;
  };
  adopt(settings.special.eos, proto.eos_piece);
  adopt(settings.special.pad, proto.pad_piece);
  definition.model_options["unk_id"] = *unk_id;
  definition.model_options["byte_fallback"] = proto.byte_fallback;
  definition.normalizer = precompiled(proto);
  const bool strips_first_blank = proto.add_dummy_prefix || proto.remove_extra_whitespaces;
  const Json blanks{
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", strips_first_blank ? "always" : "never"}};
  definition.decoder = blanks;
  if (proto.byte_fallback) {
    definition.decoder = {{"type", "Sequence"}, {"decoders", Json::array({{{"type", "ByteFallback"}}, blanks})}};
  }
  definition.sentencepiece_rules = std::move(rules);
  append_extra_ids(settings.config, definition);
}

TokenizerDefinition make_definition(const Proto& proto, TokenizerClass tokenizer_class,
                                    TokenizerFolderSettings& settings) {
  check_options(proto, tokenizer_class);
  TokenizerDefinition definition;
  definition.model_options["type"] = proto.model_type == Proto::kUnigram ? "Unigram" : "BPE";
  if (tokenizer_class == TokenizerClass::kT5) {
    build_t5_model(proto, settings, definition);
    return definition;
  }
  read_pieces(proto, definition);
  if (tokenizer_class == TokenizerClass::kGeneric) {
    build_generic(proto, definition);
    adopt_special_tokens(proto, settings);
  } else {
    definition.normalizer = precompiled(proto);
  }
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
