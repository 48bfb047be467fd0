#include "text/formats/sentencepiece_proto.h"

#include <cstdint>
#include <cstring>

#include "lockstep/core/error.h"

namespace lockstep::text {
namespace {

[[noreturn]] void refuse() { throw InputError("not a SentencePiece model (truncated or another format)"); }

// Reads the fields of one message: developers.google.com/protocol-buffers/docs/encoding.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  // Moves to the next field; returns false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t tag = read_varint();
    number_ = tag >> 3;
    switch (tag & 7) {
      case 0:
        value_ = read_varint();
        break;
      case 1:
        bytes_ = take(8);
        break;
      case 2:
        bytes_ = take(read_varint());
        break;
      case 5:
        bytes_ = take(4);
        break;
      default:
        refuse();
    }
    return true;
  }
  std::uint64_t number() const { return number_; }
  std::uint64_t value() const { return value_; }
  std::string_view bytes() const { return bytes_; }

 private:
  std::uint64_t read_varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    refuse();
  }
  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) refuse();
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_, bytes_;
  std::uint64_t number_ = 0, value_ = 0;
};

constexpr std::size_t kLongestPiece = 4096;  // bytes; SentencePiece's own pieces have about 20 characters

SentencePieceProto::Piece parse_piece(std::string_view bytes) {
  SentencePieceProto::Piece piece;
  for (FieldReader field(bytes); field.next();) {
    if (field.number() == 1) piece.text = field.bytes();
    if (piece.text.size() > kLongestPiece) refuse();
    if (field.number() == 2 && field.bytes().size() == sizeof piece.score) {
      std::memcpy(&piece.score, field.bytes().data(), sizeof piece.score);
    }
    if (field.number() == 3) piece.type = static_cast<SentencePieceProto::PieceType>(field.value());
  }
  return piece;
}

void parse_trainer_spec(std::string_view bytes, SentencePieceProto& proto) {
  for (FieldReader field(bytes); field.next();) {
    switch (field.number()) {
      case 3:
        proto.model_type = static_cast<SentencePieceProto::ModelType>(field.value());
        break;
      case 24:
        proto.treat_whitespace_as_suffix = field.value() != 0;
        break;
      case 35:
        proto.byte_fallback = field.value() != 0;
        break;
      case 40:
        proto.unk_id = static_cast<std::int32_t>(field.value());
        break;
      case 41:
        proto.bos_id = static_cast<std::int32_t>(field.value());
        break;
      case 42:
        proto.eos_id = static_cast<std::int32_t>(field.value());
        break;
      case 45:
        proto.unk_piece = field.bytes();
        break;
      case 46:
        proto.bos_piece = field.bytes();
        break;
      case 47:
        proto.eos_piece = field.bytes();
        break;
      case 48:
        proto.pad_piece = field.bytes();
        break;
      default:
        break;
    }
  }
}

void parse_normalizer_spec(std::string_view bytes, SentencePieceProto& proto) {
  for (FieldReader field(bytes); field.next();) {
    switch (field.number()) {
      case 2:
        proto.precompiled_charsmap = field.bytes();
        break;
      case 3:
        proto.add_dummy_prefix = field.value() != 0;
        break;
      case 4:
        proto.remove_extra_whitespaces = field.value() != 0;
        break;
      case 5:
        proto.escape_whitespaces = field.value() != 0;
        break;
      default:
        break;
    }
  }
}

}  // namespace

SentencePieceProto parse_sentencepiece_proto(std::string_view bytes) {
  constexpr std::uint64_t kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3;
  SentencePieceProto proto;
  for (FieldReader field(bytes); field.next();) {
    if (field.number() == kPieces) proto.pieces.push_back(parse_piece(field.bytes()));
    if (field.number() == kTrainerSpec) parse_trainer_spec(field.bytes(), proto);
    if (field.number() == kNormalizerSpec) parse_normalizer_spec(field.bytes(), proto);
  }
  if (proto.pieces.empty()) refuse();
  return proto;
}

}  // namespace lockstep::text
