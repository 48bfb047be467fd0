#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "text/formats/tokenizer_definition.h"
#include "text/formats/tokenizer_settings.h"

namespace lockstep::text {

/// The tokenizer classes of transformers (5.x) that build a tokenizer anew round a vocabulary, whatever the rest of
/// tokenizer.json says. All others take tokenizer.json as it is.
enum class TokenizerClass { kGeneric, kT5, kLlama, kGemma, kGpt2, kGptNeoX, kQwen2, kRoberta, kByT5 };

/// The class that AutoTokenizer chooses for a folder, by tokenizer_config.json and config.json; none if they name
/// neither a class nor a known type of model.
std::optional<TokenizerClass> find_tokenizer_class(const std::filesystem::path& folder, const Json& tokenizer_config);

/// The class's name in tokenizer_config.json.
const char* name_of(TokenizerClass tokenizer_class);

/// The special tokens that a class has where the folder names none.
SpecialTokenTexts default_special_tokens(TokenizerClass tokenizer_class);

/// Replaces the components round the vocabulary by those of the class.
void apply_tokenizer_class(TokenizerClass tokenizer_class, const TokenizerFolderSettings& settings,
                           TokenizerDefinition& definition);

}  // namespace lockstep::text
