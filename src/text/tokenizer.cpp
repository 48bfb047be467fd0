#include "lockstep/text/tokenizer.h"

#include <algorithm>

#include "lockstep/core/atomic_file.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::text {

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  encode(text, ids);
  return ids;
}

void Tokenizer::save(const std::filesystem::path& folder) const {
  for (const TokenizerFile& file : settings_.files) core::write_file(folder / file.name, file.bytes);
  for (const std::string_view name : tokenizer_file_names()) {
    if (std::ranges::find(settings_.files, name, &TokenizerFile::name) != settings_.files.end()) continue;
    core::remove_file(folder / name);  // of another tokenizer
  }
}

}  // namespace lockstep::text
