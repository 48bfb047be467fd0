#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/hub/settings.h"

namespace lockstep::hub {

/// Selects the files of a model that are needed: only config and tokenizer, or the weights, too.
enum class ModelFiles { kWithoutWeights, kAll };

struct ResolveOptions {
  ModelFiles files = ModelFiles::kAll;
  /// Asks the hub for the revision even if the cache has it, and downloads what has changed.
  bool refresh = false;
  /// Called before weights are downloaded, with the folder that holds all other files, so that an unsupported model is
  /// rejected first. An exception from it ends the download.
  std::function<void(const std::filesystem::path&)> before_weights = {};
  bool show_progress = true;
};

/// Locates a model. For an adapter (a folder with adapter_config.json), it locates the base model.
struct ResolvedModel {
  std::filesystem::path folder;
  std::string commit = {};               // of a hub model; empty for a local folder
  std::filesystem::path cache = {};      // the cache that holds it; empty for a local folder
  std::string name = {};                 // its name on the hub, or the absolute path of a local folder
  std::filesystem::path adapter = {};    // the adapter's folder; empty if there is none
  std::filesystem::path tokenizer = {};  // the folder with the tokenizer: the adapter's if it has one, else `folder`
};

/// Returns the folder of a model: `name` itself if such a file or folder exists; otherwise the hub model of that name
/// ("ORG/NAME" or "ORG/NAME@REVISION") in the cache, downloaded first if it is not there. The cache is shared with
/// huggingface_hub, in its layout. Safe against concurrent processes and against being killed at any moment. If the
/// hub cannot be reached, uses what the cache has, as long as that is usable. Throws InputError, saying what was looked
/// for, where, and the remedy; Error if a download is damaged or does not fit on the disk.
///
/// A folder with adapter_config.json is an adapter, as in transformers: the base model that it names is resolved in the
/// same way, with paths relative to the working directory.
ResolvedModel resolve_model(const std::string& name, const ResolveOptions& options, const HubSettingsSource& settings);

/// Returns the folder of `commit` of the hub model `name` in the first of the caches that has it, without using the
/// network. Throws InputError if none has it.
std::filesystem::path find_cached_model(const std::string& name, const std::string& commit, ModelFiles files,
                                        const std::vector<std::filesystem::path>& caches);

}  // namespace lockstep::hub
