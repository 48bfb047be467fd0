#pragma once

#include <string_view>

#include "text/models/token_model.h"

namespace lockstep::text {

/// The "type" of this model in a definition.
inline constexpr std::string_view kByteModelType = "ByT5";

/// Has one token per byte, after the three special tokens <pad>, </s> and <unk> (ByT5, Xue et al. 2022).
class ByteModel final : public TokenModel {
 public:
  ByteModel();
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  std::optional<TokenId> find(std::string_view token) const override;
  std::optional<std::string_view> token(TokenId id) const override;
  std::size_t size() const override { return tokens_.size(); }

 private:
  std::vector<std::string> tokens_;
};

}  // namespace lockstep::text
