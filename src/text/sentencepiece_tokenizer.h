#pragma once

#include <filesystem>
#include <memory>

#include "tokenizer_settings.h"

namespace lockstep {

/// A T5 tokenizer from `folder`/spiece.model.
std::shared_ptr<Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& folder,
                                                        const TokenizerFolderSettings& settings);

}  // namespace lockstep
