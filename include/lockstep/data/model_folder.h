#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data {

/// A family of models that Lockstep knows, by its config.json.
struct ModelFamily {
  std::string_view model_type;
  bool has_encoder;
  std::string_view positions_key;    // config key of the number of learned positions; empty: any length works
  std::uint64_t default_positions;   // transformers' default for it
  std::uint64_t default_vocabulary;  // transformers' default for "vocab_size"
};

/// All of them; the one list of supported "model_type"s.
const std::vector<ModelFamily>& supported_model_families();

/// What the data path must know of a model.
struct ModelFolder {
  std::string model_type;
  bool has_encoder = false;
  std::uint64_t vocabulary_size = 0;           // rows of the embedding
  std::optional<std::uint64_t> max_positions;  // none where any length works (T5)
};

/// Reads `folder`/config.json. Throws InputError naming what was looked for if the folder or the file is missing, or
/// its "model_type" is not supported (with those that are), and for values of a wrong type.
ModelFolder describe_model_folder(const std::filesystem::path& folder);

/// Throws InputError if `has_encoder` of the job disagrees with the model.
void check_has_encoder(const ModelFolder& model, bool has_encoder, const std::filesystem::path& folder);

/// Throws InputError, naming both sizes, if the tokenizer has more entries than the embedding has rows, or a special
/// token beyond them.
void check_vocabulary(const Tokenizer& tokenizer, std::uint64_t vocabulary_size);

/// A length limit of examples in tokens, and where it comes from: "model_max_length", "the tokenizer's own limit" or
/// "the model's positions".
struct LengthLimit {
  std::optional<std::size_t> tokens;  // none: examples keep any length
  std::string origin;
};

/// `requested`, else the tokenizer's own limit, but never above the model's positions.
LengthLimit longest_example(std::optional<std::size_t> requested, const Tokenizer& tokenizer,
                            const std::optional<std::uint64_t>& max_positions);

/// The length limit of examples in tokens: `requested`, else the tokenizer's own, else the model's positions, else
/// none. Without `requested`, gives one warning that a limit is preferable. Never above the model's positions: a larger
/// request is clamped, with one warning.
std::optional<std::size_t> resolve_max_length(std::optional<std::size_t> requested, const Tokenizer& tokenizer,
                                              const std::optional<std::uint64_t>& max_positions);

}  // namespace lockstep::data
