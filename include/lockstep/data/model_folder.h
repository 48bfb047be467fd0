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

/// A model family that Lockstep supports, identified by "model_type" in config.json.
struct ModelFamily {
  std::string_view model_type;
  bool has_encoder;
  std::string_view positions_key;    // config key for the number of learned positions; empty: any length works
  std::uint64_t default_positions;   // default of transformers for positions_key
  std::uint64_t default_vocabulary;  // default of transformers for "vocab_size"
};

/// Returns all supported families, in the order of data/model_types.inc.
const std::vector<ModelFamily>& supported_model_families();

/// Returns the family of a config.json by its "model_type". Throws InputError, listing the supported types, if it is
/// not supported; `path` begins the message.
const ModelFamily& find_model_family(const Json& config, const std::filesystem::path& path);

/// The properties of a model that tokenizing its data depends on.
struct ModelFolder {
  std::string model_type;
  bool has_encoder = false;
  std::uint64_t vocabulary_size = 0;           // rows of the embedding
  std::optional<std::uint64_t> max_positions;  // nullopt: any length works (T5)
};

/// Reads `folder`/config.json. Throws InputError if the folder or the file is missing, if "model_type" is not supported
/// (the message lists those that are), or if a value has the wrong type.
ModelFolder describe_model_folder(const std::filesystem::path& folder);

/// Throws InputError if the job's `has_encoder` does not match the model.
void check_has_encoder(const ModelFolder& model, bool has_encoder, const std::filesystem::path& folder);

/// Throws InputError, naming both sizes, if the tokenizer has more entries than the embedding has rows, or if the id of
/// a special token is beyond the embedding.
void check_vocabulary(const Tokenizer& tokenizer, std::uint64_t vocabulary_size);

/// A limit on the length of examples, and where it comes from: "model_max_length", "the tokenizer's own limit" or "the
/// model's positions".
struct LengthLimit {
  std::optional<std::size_t> tokens;  // nullopt: examples are not truncated
  std::string origin;
};

/// Returns `requested` if it is set, else the tokenizer's own limit, capped at the model's positions.
LengthLimit find_length_limit(std::optional<std::size_t> requested, const Tokenizer& tokenizer,
                              const std::optional<std::uint64_t>& max_positions);

/// Returns the limit of find_length_limit() in tokens, or nullopt if there is none. Logs a warning if `requested` is
/// not set, or if it exceeds the model's positions and is therefore reduced.
std::optional<std::size_t> resolve_max_length(std::optional<std::size_t> requested, const Tokenizer& tokenizer,
                                              const std::optional<std::uint64_t>& max_positions);

}  // namespace lockstep::data
