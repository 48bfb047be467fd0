#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/generation/decoding.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/model.h"
#include "lockstep/models/pretrained.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::generation {

/// A model and its tokenizer: `auto [model, tokenizer] = trainer.train_model(...)`.
struct TrainedModel {
  std::shared_ptr<LanguageModel> model;
  std::shared_ptr<const Tokenizer> tokenizer;

  /// Loads a Hugging Face model folder, or a LoRA adapter of peft with its base (hub/resolve.h). Throws InputError
  /// naming what is missing, malformed or not supported.
  static TrainedModel load(const std::filesystem::path& folder);
  static TrainedModel load(const hub::ResolvedModel& resolved);
  /// Creates a model with random weights, drawn with `seed`, from the folder's config.json and tokenizer. Throws as
  /// load() does.
  static TrainedModel create(const std::filesystem::path& folder, std::uint64_t seed);

  /// Throws InputError if the model or the tokenizer is missing, as in TrainedModel{} or after a move. All functions
  /// below do.
  void check_complete() const;

  /// Continues each prompt, as generate() does (generation/decoding.h).
  std::vector<std::string> generate(const std::vector<std::string>& prompts,
                                    const GenerationOptions& options = {}) const;

  /// Writes a folder that transformers opens: model, config and tokenizer. For a model with an adapter, writes one that
  /// peft opens: the adapter and the tokenizer. Creates the folder if it is missing. The padding id is the tokenizer's.
  void save(const std::filesystem::path& folder, SaveOptions options = {}) const;
};

}  // namespace lockstep::generation

namespace lockstep {
using generation::TrainedModel;
}  // namespace lockstep
