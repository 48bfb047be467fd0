#include "lockstep/text/load_tokenizer.h"

#include <fmt/format.h>

#include "byte_level_tokenizer.h"
#include "lockstep/core/error.h"
#include "sentencepiece_tokenizer.h"

namespace lockstep {

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  const TokenizerFolderSettings settings = read_folder_settings(folder);
  if (has("spiece.model")) return load_sentencepiece_tokenizer(folder, settings);
  if (has("tokenizer.json")) return load_tokenizer_json(folder, settings);
  if (has("vocab.json") && has("merges.txt")) return load_vocab_and_merges(folder, settings);
  throw InputError(fmt::format("{}: no tokenizer: expected spiece.model, tokenizer.json, or vocab.json with merges.txt",
                               folder.string()));
}

}  // namespace lockstep
