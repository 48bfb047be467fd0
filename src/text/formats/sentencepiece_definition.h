#pragma once

#include <filesystem>

#include "text/formats/tokenizer_class.h"
#include "text/formats/tokenizer_definition.h"
#include "text/formats/tokenizer_settings.h"

namespace lockstep::text {

/// The tokenizer of a SentencePiece model file alone, as transformers (5.x) converts it for `tokenizer_class`. Adds the
/// special tokens that the file names to `settings` where it has none. Throws InputError naming the file.
TokenizerDefinition read_sentencepiece_model(const std::filesystem::path& path, TokenizerClass tokenizer_class,
                                             TokenizerFolderSettings& settings);

}  // namespace lockstep::text
