#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/data/model_folder.h"
#include "lockstep/models/model.h"

namespace lockstep::models {

/// The name of the output head's module, the same in every family.
inline constexpr const char* kHeadModule = "lm_head";

/// Holds what Family::build needs in addition to config.json.
struct BuildOptions {
  /// Whether the output head has its own weights; otherwise it shares those of the embedding.
  bool untied_head = false;
  /// generation_config.json, as read; null if there is none.
  Json generation_config = {};
};

/// Describes a family of models: everything specific to one "model_type".
struct Family {
  std::string model_type = {};    // "model_type" of config.json
  std::string architecture = {};  // transformers' class
  std::string models = {};        // published models of the family, for documentation
  std::string features = {};      // supported options of the family
  std::string limits = {};        // unsupported options

  // Layout of model.safetensors:
  std::string embedding = {};  // the parameter that a tied head shares
  std::vector<std::string> embedding_aliases =
      {};                        // names under which files may store the embedding as well, or instead
  std::string base_prefix = {};  // missing from names in files of the base model without a head
  std::vector<std::pair<std::string, std::string>> renamed = {};  // prefixes: in files -> of parameters
  std::vector<std::string> ignored_suffixes = {};                 // suffixes of tensors to ignore
  bool ties_head = true;                                          // default of "tie_word_embeddings"
  bool reads_tie_flag = true;  // whether "tie_word_embeddings" is read; otherwise only the weights decide

  std::vector<std::string> lora_targets = {"q_proj", "v_proj"};  // default targets of an adapter, as in peft

  /// Builds a model with uninitialised weights. Throws InputError if the config has an unsupported option.
  std::function<std::shared_ptr<LanguageModel>(const Json& config, const BuildOptions& options)> build = {};

  const data::ModelFamily* facts = nullptr;  // what preparation knows of it; set by families()
};

/// Returns all supported families, in the order of data/model_types.inc.
const std::vector<Family>& families();

/// Returns the family of a config.json by its "model_type". Throws InputError, listing the supported types, if it is
/// not supported.
const Family& find_family(const Json& config);

}  // namespace lockstep::models
