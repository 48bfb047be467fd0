#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/hub/settings.h"

namespace lockstep::hub {

/// Which files of a model are needed: config and tokenizer, or the weights too.
enum class ModelFiles { without_weights, all };

struct ResolveOptions {
  ModelFiles files = ModelFiles::all;
  /// Asks the hub for the revision even if the cache has it, and takes what has changed.
  bool refresh = false;
  /// Called before weights are downloaded with the folder that has all other files, so that a model that is not
  /// supported is found first. What it throws ends the download.
  std::function<void(const std::filesystem::path&)> before_weights = {};
  bool show_progress = true;
};

/// A model; of an adapter (a folder with adapter_config.json) its base.
struct ResolvedModel {
  std::filesystem::path folder;
  std::string commit = {};               // of a model of the hub; empty for a local folder
  std::filesystem::path cache = {};      // that it lies in; empty for a local folder
  std::string name = {};                 // of the hub; of a local folder its absolute path
  std::filesystem::path adapter = {};    // the adapter's folder; empty: none
  std::filesystem::path tokenizer = {};  // that has the tokenizer: the adapter's, or else `folder`
};

/// The folder of a model: `name` itself if there is such a file or folder, else the model of the hub of that name
/// ("ORG/NAME", "ORG/NAME@REVISION") in the cache, else the same after its download into the cache. The cache is that
/// of huggingface_hub, which both read and write. Safe against other processes and against being killed at any moment.
/// Throws InputError that says what was looked for, where, and the remedy; Error if the network fails.
///
/// A folder with adapter_config.json is an adapter, as for transformers: the base that it names is resolved in the same
/// way, relative paths from the working folder.
ResolvedModel resolve_model(const std::string& name, const ResolveOptions& options, const HubSettingsSource& settings);

/// The folder of the commit `commit` of `name` in the first of the caches that has it, without the network. Throws
/// InputError if none has.
std::filesystem::path find_cached_model(const std::string& name, const std::string& commit, ModelFiles files,
                                        const std::vector<std::filesystem::path>& caches);

}  // namespace lockstep::hub
