#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "text/formats/tokenizer_definition.h"
#include "text/formats/tokenizer_settings.h"

namespace lockstep::text {

/// The tokenizer classes of transformers (5.x) that rebuild everything except the vocabulary, whatever else
/// tokenizer.json says. All other classes (kGeneric) use tokenizer.json unchanged.
enum class TokenizerClass { kGeneric, kT5, kLlama, kGemma, kGpt2, kGptNeoX, kQwen2, kRoberta, kByT5 };

/// Returns the class that AutoTokenizer chooses for a folder by tokenizer_config.json and config.json, or none if these
/// name neither a class nor a known model type.
std::optional<TokenizerClass> find_tokenizer_class(const std::filesystem::path& folder, const Json& tokenizer_config);

/// Returns the name of the class in tokenizer_config.json.
const char* name_of(TokenizerClass tokenizer_class);

/// Returns the special tokens that a class uses if the folder names none.
SpecialTokenTexts default_special_tokens(TokenizerClass tokenizer_class);

/// Replaces every component except the vocabulary by that of the class, and returns the class. If the class does not
/// fit the model, changes nothing and returns kGeneric; the class then defines no special tokens either.
TokenizerClass apply_tokenizer_class(TokenizerClass tokenizer_class, const TokenizerFolderSettings& settings,
                                     TokenizerDefinition& definition);

}  // namespace lockstep::text
