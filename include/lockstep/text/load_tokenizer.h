#pragma once

#include <filesystem>
#include <memory>

#include "lockstep/text/tokenizer.h"

namespace lockstep {

/// Loads the tokenizer of a model folder: `spiece.model` (T5), `tokenizer.json` (byte-level BPE), or
/// `vocab.json` with `merges.txt` (GPT-2), with `tokenizer_config.json`, `special_tokens_map.json` and
/// `added_tokens.json` where they exist. Throws InputError naming what is missing or not supported.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder);

}  // namespace lockstep
