#pragma once

#include <memory>

#include "lockstep/models/model.h"

namespace lockstep {

/// How a model is built from its config.json.
struct BuildOptions {
  /// The head has weights of its own; else it shares the embedding's.
  bool untied_head = false;
  /// generation_config.json as it was read; null if there is none.
  Json generation_config;
};

// One function a family; each throws InputError for an option of the config that it does not support. The weights are
// unset until they are loaded or initialised.
std::shared_ptr<LanguageModel> build_t5(const Json& config, const BuildOptions& options);
std::shared_ptr<LanguageModel> build_gpt2(const Json& config, const BuildOptions& options);

/// The model of a config.json by its "model_type". Throws InputError, listing the supported types, for another.
std::shared_ptr<LanguageModel> build_model(const Json& config, const BuildOptions& options);

}  // namespace lockstep
