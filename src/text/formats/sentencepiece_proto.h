#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::text {

/// The content of a serialized SentencePiece ModelProto (sentencepiece_model.proto).
struct SentencePieceProto {
  enum PieceType : std::uint32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  enum ModelType : std::uint32_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = kNormal;
  };

  std::vector<Piece> pieces;  // by id
  ModelType model_type = kUnigram;
  std::int64_t unk_id = 0;
  std::int64_t bos_id = 1, eos_id = 2;  // -1 if there is none
  std::string unk_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";
  bool byte_fallback = false;
  bool treat_whitespace_as_suffix = false;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  std::string precompiled_charsmap;
};

/// Parses a ModelProto. Throws InputError if `bytes` is not such a message or has no pieces.
SentencePieceProto parse_sentencepiece_proto(std::string_view bytes);

}  // namespace lockstep::text
