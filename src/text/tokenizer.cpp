#include "lockstep/text/tokenizer.h"

#include "lockstep/core/atomic_file.h"

namespace lockstep::text {

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  encode(text, ids);
  return ids;
}

void Tokenizer::save(const std::filesystem::path& folder) const {
  for (const TokenizerFile& file : settings_.files) core::write_file(folder / file.name, file.bytes);
}

}  // namespace lockstep::text
