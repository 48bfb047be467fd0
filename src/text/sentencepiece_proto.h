#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// What the library's public interface does not tell of a serialized SentencePiece ModelProto
/// (sentencepiece_model.proto).
struct SentencePieceProto {
  enum PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  enum ModelType { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = kNormal;
  };

  std::vector<Piece> pieces;  // by id
  ModelType model_type = kUnigram;
};

/// Throws InputError if `bytes` is not a protocol buffer message of that form.
SentencePieceProto parse_sentencepiece_proto(std::string_view bytes);

}  // namespace lockstep
