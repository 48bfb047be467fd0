#include "text/models/byte_model.h"

#include <algorithm>
#include <string>

#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

constexpr TokenId kFirstByte = 3;

}  // namespace

ByteModel::ByteModel() : tokens_{"<pad>", "</s>", "<unk>"} {
  for (char32_t byte = 0; byte < 256; ++byte) append_utf8(byte, tokens_.emplace_back());
}

void ByteModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  for (const char byte : word) ids.push_back(kFirstByte + static_cast<unsigned char>(byte));
}

std::optional<TokenId> ByteModel::find(std::string_view token) const {
  const auto found = std::ranges::find(tokens_, token);
  return found == tokens_.end() ? std::nullopt : std::optional(static_cast<TokenId>(found - tokens_.begin()));
}

std::optional<std::string_view> ByteModel::token(TokenId id) const {
  return id < tokens_.size() ? std::optional<std::string_view>(tokens_[id]) : std::nullopt;
}

}  // namespace lockstep::text
