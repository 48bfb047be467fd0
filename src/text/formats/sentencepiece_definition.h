#pragma once

#include <filesystem>

#include "text/formats/tokenizer_class.h"
#include "text/formats/tokenizer_definition.h"
#include "text/formats/tokenizer_settings.h"

namespace lockstep::text {

/// Builds a tokenizer definition from a SentencePiece model file, as transformers (5.x) converts it for
/// `tokenizer_class`. For the generic class, fills in special tokens that `settings` lacks with those of the file.
/// Throws InputError naming the file.
TokenizerDefinition read_sentencepiece_model(const std::filesystem::path& path, TokenizerClass tokenizer_class,
                                             TokenizerFolderSettings& settings);

}  // namespace lockstep::text
