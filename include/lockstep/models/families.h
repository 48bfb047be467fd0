#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/models/model.h"

namespace lockstep::models {

/// The module of an output head of its own, in every family.
inline constexpr const char* kHeadModule = "lm_head";

/// How a model is built from its config.json.
struct BuildOptions {
  /// The head has weights of its own; else it shares the embedding's.
  bool untied_head = false;
  /// generation_config.json as it was read; null if there is none.
  Json generation_config = {};
};

/// A family of models: all that the project knows of one "model_type".
struct Family {
  std::string model_type = {};    // config.json's
  std::string architecture = {};  // transformers' class
  std::string models = {};        // whose models these are
  std::string features = {};      // what of the family's options is computed
  std::string limits = {};        // what is refused

  // Its model.safetensors:
  std::string embedding = {};                                     // the parameter that a tied head shares
  std::string base_prefix = {};                                   // names lack it in files of the bare base model
  std::vector<std::pair<std::string, std::string>> renamed = {};  // how names begin in files, and as parameters
  std::vector<std::string> left_over = {};                        // how tensors end that are no parameters
  bool ties_head = true;                                          // "tie_word_embeddings" where config.json lacks it
  bool tie_flag_counts = true;                                    // else the head is tied whatever config.json says

  std::vector<std::string> lora_targets = {"q_proj", "v_proj"};  // that an adapter has by default: peft's

  /// Throws InputError for an option of the config that is not supported. The weights are unset until they are loaded
  /// or initialised.
  std::function<std::shared_ptr<LanguageModel>(const Json& config, const BuildOptions& options)> build = {};
};

/// All of them.
const std::vector<Family>& families();

/// The family of a config.json by its "model_type". Throws InputError, listing the supported types, for another.
const Family& find_family(const Json& config);

}  // namespace lockstep::models
