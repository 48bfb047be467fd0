#include "sentencepiece_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <optional>

#include "added_token_tokenizer.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "sentencepiece_proto.h"
#include "unigram_model.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using sentencepiece::SentencePieceProcessor;

constexpr const char* kModelFile = "spiece.model";
constexpr std::string_view kBlank = "\xE2\x96\x81";  // U+2581, SentencePiece's space
constexpr int kDefaultExtraIds = 100;                // transformers' T5Tokenizer

std::unique_ptr<SentencePieceProcessor> load_processor(const std::string& bytes, const fs::path& path) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(bytes);
  if (!status.ok() || processor->GetPieceSize() == 0) {
    throw InputError(fmt::format("{}: not a SentencePiece model: {}", path.string(), status.ToString()));
  }
  return processor;
}

// None for the other model types, whose segmentation has no ties between versions.
std::optional<UnigramModel> make_unigram(const std::string& bytes) {
  using Proto = SentencePieceProto;
  const Proto proto = parse_sentencepiece_proto(bytes);
  if (proto.model_type != Proto::kUnigram) return std::nullopt;
  std::vector<UnigramModel::Piece> pieces;
  TokenId unknown = 0;
  for (const Proto::Piece& piece : proto.pieces) {
    const bool normal = piece.type == Proto::kNormal, user_defined = piece.type == Proto::kUserDefined;
    if (piece.type == Proto::kUnknown) unknown = static_cast<TokenId>(pieces.size());
    pieces.push_back({normal || user_defined ? piece.text : "", piece.score, normal, user_defined});
  }
  return UnigramModel(std::move(pieces), unknown);
}

// <extra_id_0> has the highest id and the others go down from it.
void add_extra_ids(const TokenizerFolderSettings& settings, TokenId first, AddedTokens& added_tokens) {
  for (const AddedToken& token : settings.added_tokens) {
    if (token.content.starts_with("<extra_id_")) return;  // the folder numbers them itself
  }
  int count = kDefaultExtraIds;
  if (settings.config.contains("extra_ids")) {
    count = settings.config["extra_ids"].get<int>();
  } else if (!settings.additional_special_tokens.empty()) {
    count = static_cast<int>(settings.additional_special_tokens.size());
  }
  for (int i = 0; i < count; ++i) {
    added_tokens.add({.content = fmt::format("<extra_id_{}>", i),
                      .id = first + static_cast<TokenId>(count - 1 - i),
                      .special = true});
  }
}

class SentencePieceTokenizer final : public AddedTokenTokenizer {
 public:
  SentencePieceTokenizer(Settings settings, AddedTokens added_tokens, std::unique_ptr<SentencePieceProcessor> processor,
                         std::optional<UnigramModel> unigram)
      : AddedTokenTokenizer(std::move(settings), std::move(added_tokens)),
        processor_(std::move(processor)),
        unigram_(std::move(unigram)) {}

  static std::shared_ptr<Tokenizer> load(const fs::path& folder, const TokenizerFolderSettings& folder_settings) {
    const std::string bytes = read_file(folder / kModelFile);
    auto processor = load_processor(bytes, folder / kModelFile);
    AddedTokens added_tokens;
    add_extra_ids(folder_settings, static_cast<TokenId>(processor->GetPieceSize()), added_tokens);
    const auto id_of = [&](const std::string& token) -> std::optional<TokenId> {
      const int id = processor->PieceToId(token);
      if (id == processor->unk_id() && processor->IdToPiece(id) != token) return std::nullopt;
      return static_cast<TokenId>(id);
    };
    for (const char* token : {"<pad>", "</s>", "<unk>"}) {
      if (const auto id = id_of(token)) added_tokens.add({.content = token, .id = *id, .special = true});
    }
    const Defaults defaults{.bos = std::nullopt, .eos = "</s>", .pad = "<pad>", .tokenizer_class = "T5Tokenizer"};
    auto settings = make_settings(folder, folder_settings, defaults, id_of, added_tokens);
    return std::make_shared<SentencePieceTokenizer>(std::move(settings), std::move(added_tokens), std::move(processor),
                                                    make_unigram(bytes));
  }

  std::size_t vocabulary_size() const override { return static_cast<std::size_t>(processor_->GetPieceSize()); }

 protected:
  // The library normalizes. Its pieces together are the normalized text, which is then segmented anew, because the
  // tie-breaking of its own segmentation differs between versions.
  void encode_text(std::string_view text, std::vector<TokenId>& ids) const override {
    if (!unigram_) {
      std::vector<int> library_ids;
      check(processor_->Encode({text.data(), text.size()}, &library_ids));
      ids.insert(ids.end(), library_ids.begin(), library_ids.end());
      return;
    }
    std::vector<std::string> pieces;
    check(processor_->Encode({text.data(), text.size()}, &pieces));
    std::string normalized;
    for (const std::string& piece : pieces) normalized += piece;
    unigram_->encode(normalized, ids);
  }

  std::optional<std::string> model_token(TokenId id) const override {
    if (id >= vocabulary_size()) return std::nullopt;
    return processor_->IdToPiece(static_cast<int>(id));
  }

  std::string join(const std::vector<std::string>& tokens) const override {
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string_view rest = tokens[i];
      for (std::size_t found = rest.find(kBlank); found != std::string_view::npos; found = rest.find(kBlank)) {
        text += rest.substr(0, found);
        if (i > 0) text += ' ';  // the blank that begins the text was put there by the normalizer
        rest.remove_prefix(found + kBlank.size());
      }
      text += rest;
    }
    return text;
  }

 private:
  static void check(const sentencepiece::util::Status& status) {
    if (!status.ok()) throw Error("SentencePiece: " + status.ToString());
  }

  std::unique_ptr<SentencePieceProcessor> processor_;
  std::optional<UnigramModel> unigram_;
};

}  // namespace

std::shared_ptr<Tokenizer> load_sentencepiece_tokenizer(const fs::path& folder,
                                                        const TokenizerFolderSettings& settings) {
  return SentencePieceTokenizer::load(folder, settings);
}

}  // namespace lockstep
