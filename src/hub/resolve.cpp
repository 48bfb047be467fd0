#include "lockstep/hub/resolve.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <string_view>
#include <vector>

#include "hub/adapter_folder.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/hub_client.h"
#include "hub/model_files.h"
#include "lockstep/core/error.h"
#include "lockstep/core/home_folder.h"
#include "lockstep/core/progress.h"
#include "lockstep/core/stop_flag.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::hub {
namespace {

namespace fs = std::filesystem;

constexpr double kMegabyte = 1e6;

std::uint64_t megabytes(std::uint64_t bytes) {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) / kMegabyte);
}

// Downloads one commit of a model into the cache.
class ModelDownload {
 public:
  ModelDownload(HubClient& client, const CachedModel& model, const ResolveOptions& options)
      : client_(client), model_(model), options_(options) {}

  // Downloads `revision` and returns its commit.
  std::string run(const std::string& revision) {
    listing_ = client_.list(revision);
    std::vector<std::string> files;
    for (const std::string& file : description_files()) choose(file, files);
    if (files.empty()) {
      throw InputError(fmt::format("{}: expected a model with config.json and a tokenizer, found neither",
                                   model_.name().repository));
    }
    fetch(files);
    if (options_.files == ModelFiles::kAll) {
      if (options_.before_weights) options_.before_weights(model_.snapshot(listing_.commit));
      fetch_weights();
    }
    model_.write_ref(listing_.commit);
    return listing_.commit;
  }

 private:
  bool choose(const std::string& file, std::vector<std::string>& files) {
    const bool exists = listing_.files.contains(file);
    if (exists) {
      files.push_back(file);
    } else {
      model_.note_absent(listing_.commit, file);
    }
    return exists;
  }

  void fetch_weights() {
    std::vector<std::string> files;
    for (const auto& [name, is_index] : weights_files()) {
      if (!choose(std::string(name), files)) continue;
      fetch(files);
      if (is_index) fetch(files_of_index(model_.snapshot(listing_.commit) / name));
      return;
    }
    std::vector<std::string_view> names;
    for (const auto& form : weights_files()) names.push_back(form.name);
    throw InputError(
        fmt::format("{}: expected weights in one of {}, found none in the hub's model; give a model that has them "
                    "(TensorFlow, Flax, ONNX and GGUF weights are not supported)",
                    model_.name().repository, fmt::join(names, ", ")));
  }

  void fetch(const std::vector<std::string>& names) {
    std::vector<HubClient::File> files;
    std::uint64_t missing = 0;
    for (const std::string& name : names) {
      if (fs::exists(model_.snapshot(listing_.commit) / name)) continue;
      files.push_back(client_.describe(listing_.commit, name));
      missing += missing_bytes(model_, files.back());
    }
    require_space(missing);
    if (missing > 0) {
      spdlog::info("{}: fetching {} files, {:.1f} MB, from {} into {}", model_.name().repository, files.size(),
                   static_cast<double>(missing) / kMegabyte, client_.settings().endpoint, model_.folder().string());
    }
    core::Progress progress("download", "megabyte", megabytes(missing), options_.show_progress);
    std::uint64_t come = 0;
    for (const HubClient::File& file : files) {
      fetch_into_cache(client_, model_, listing_.commit, file, [&](std::uint64_t bytes) {
        core::check_stop_signal("run the same command again to resume the download");
        come += bytes;
        progress.update(megabytes(come), file.name);
      });
    }
  }

  void require_space(std::uint64_t bytes) const {
    std::error_code error;
    fs::create_directories(model_.folder(), error);
    if (error) core::throw_system_error("create the folder", model_.folder(), error.value());
    const auto space = fs::space(model_.folder(), error);
    if (error || space.available >= bytes) return;
    throw Error(
        fmt::format("{}: expected {:.0f} MB of free space for the download, found {:.0f} MB; free some, or set "
                    "HF_HOME to another disk",
                    model_.folder().string(), static_cast<double>(bytes) / kMegabyte,
                    static_cast<double>(space.available) / kMegabyte));
  }

  HubClient& client_;
  const CachedModel& model_;
  const ResolveOptions& options_;
  HubClient::Listing listing_;
};

// Explains for each place why the model is not there. `on_hub` says what is known of the hub, and the remedy.
[[noreturn]] void not_found(const CachedModel& model, const std::string& name, const std::string& on_hub) {
  std::error_code error;
  const std::string_view in_cache = !fs::exists(model.folder(), error) ? "does not exist"
                                    : model.commit()                   ? "is not complete"
                                                                       : "does not have this revision";
  throw InputError(fmt::format("{}: expected a model, found none: there is no folder {}; in the cache, {} {}; {}", name,
                               fs::absolute(name).string(), model.folder().string(), in_cache, on_hub));
}

std::string without_network(const std::string& name, const std::string& on_hub) {
  return fmt::format(
      "{1}. Give the folder of a model, or run `lockstep-prep download {0}` (or `hf download`) on a machine with "
      "network access, with the same HF_HOME",
      name, on_hub);
}

ResolvedModel found(const CachedModel& model, const std::string& commit) {
  spdlog::info("{} is {}", model.name().repository, model.snapshot(commit).string());
  return {.folder = model.snapshot(commit), .commit = commit, .cache = model.cache()};
}

ResolvedModel local_model(const fs::path& folder) {
  return {.folder = folder, .name = fs::absolute(folder).lexically_normal().string(), .tokenizer = folder};
}

ResolvedModel adapted_model(const fs::path& adapter, const std::string& base, const ResolveOptions& options,
                            const HubSettingsSource& settings) {
  std::error_code error;
  const bool holds_base = fs::equivalent(base, adapter, error);
  ResolvedModel model = holds_base ? local_model(adapter) : resolve_model(base, options, settings);
  if (!model.adapter.empty()) {
    throw InputError(
        fmt::format("{}: expected an adapter of a full model, found one of the adapter {}; merge that one into its "
                    "base first (lockstep merge)",
                    adapter.string(), model.adapter.string()));
  }
  model.adapter = adapter;
  if (text::has_tokenizer_files(adapter)) model.tokenizer = adapter;
  return model;
}

ResolvedModel resolve_hub_model(const CachedModel& model, const std::string& name, const ResolveOptions& options,
                                const HubSettings& settings) {
  const auto commit = model.commit();
  const SnapshotState state = commit ? model.state(*commit, options.files) : SnapshotState::kIncomplete;
  if (state == SnapshotState::kComplete && !options.refresh) return found(model, *commit);
  if (settings.offline) {
    if (state != SnapshotState::kIncomplete) return found(model, *commit);
    not_found(model, name,
              without_network(name, settings.endpoint + " is not contacted because HF_HUB_OFFLINE is set"));
  }
  // A usable commit is completed rather than replaced by a newer one.
  const bool keeps_commit = state != SnapshotState::kIncomplete && !options.refresh;
  try {
    HubClient client(settings, model.name());
    return found(model, ModelDownload(client, model, options).run(keeps_commit ? *commit : model.name().revision));
  } catch (const Refused& problem) {
    if (state == SnapshotState::kIncomplete) not_found(model, name, problem.what());
    spdlog::warn("{}; the cached files are used", problem.what());
  } catch (const NetworkError& problem) {
    if (state == SnapshotState::kIncomplete) {
      not_found(model, name,
                without_network(name, fmt::format("{} does not provide one ({})", settings.endpoint, problem.what())));
    }
    spdlog::warn("{}; the cached files are used (HF_HUB_OFFLINE=1 avoids the network)", problem.what());
  }
  return found(model, *commit);
}

}  // namespace

ResolvedModel resolve_model(const std::string& given_name, const ResolveOptions& options,
                            const HubSettingsSource& settings) {
  std::error_code error;
  const std::string name = core::expand_home(given_name);
  if (fs::exists(name, error)) {
    const auto base = adapter_base_model(name);
    return base ? adapted_model(name, *base, options, settings) : local_model(name);
  }
  const auto parsed = parse_model_name(name);
  if (!parsed) {
    throw InputError(fmt::format(
        "'{}': expected the folder of a model, or a model of the hub (ORG/NAME or ORG/NAME@REVISION), found "
        "no such folder; check the path",
        name));
  }
  const HubSettings given = settings();
  ResolvedModel model = resolve_hub_model(CachedModel(given.cache, *parsed), name, options, given);
  model.name = name;
  model.tokenizer = model.folder;
  return model;
}

fs::path find_cached_model(const std::string& name, const std::string& commit, ModelFiles files,
                           const std::vector<fs::path>& caches) {
  const auto parsed = parse_model_name(name);
  if (!parsed) throw InputError(fmt::format("'{}': expected a model of the hub", name));
  std::vector<std::string> folders;
  for (const fs::path& cache : caches) {
    const CachedModel model(cache, *parsed);
    if (model.state(commit, files) != SnapshotState::kIncomplete) return model.snapshot(commit);
    folders.push_back(model.snapshot(commit).string());
  }
  throw InputError(
      fmt::format("{}: expected the model in {}, found none; set HF_HOME to a folder that all nodes share, or run "
                  "`lockstep-prep download {}` on each node",
                  name, fmt::join(folders, " or "), name));
}

}  // namespace lockstep::hub
