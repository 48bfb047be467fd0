#include "lockstep/generation/trained_model.h"

#include <fmt/format.h>
#include <functional>

#include "lockstep/core/error.h"
#include "lockstep/generation/pretrained_model.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/special_ids.h"

namespace lockstep::generation {
namespace {

// A missing folder is reported as such instead of being looked up on the hub.
hub::ResolvedModel resolve_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) return {.folder = folder, .tokenizer = folder};
  return hub::resolve_model(folder.string(), {}, hub::hub_settings_from_environment);
}

// Loads the tokenizer first, because that is quick and finds most mistakes.
TrainedModel with_tokenizer(const hub::ResolvedModel& resolved,
                            const std::function<std::shared_ptr<LanguageModel>()>& make_model) {
  TrainedModel trained;
  trained.tokenizer = load_tokenizer_of(resolved);
  trained.model = make_model();
  // An adapter's folder has the tokenizer with which it was trained, but the configuration of its base.
  if (models::has_adapter(*trained.model)) models::align_special_ids(*trained.model, *trained.tokenizer);
  return trained;
}

}  // namespace

TrainedModel TrainedModel::load(const std::filesystem::path& folder) { return load(resolve_folder(folder)); }

TrainedModel TrainedModel::load(const hub::ResolvedModel& resolved) {
  return with_tokenizer(resolved, [&] { return load_resolved(resolved); });
}

TrainedModel TrainedModel::create(const std::filesystem::path& folder, std::uint64_t seed) {
  return with_tokenizer({.folder = folder, .tokenizer = folder}, [&] { return models::create_model(folder, seed); });
}

void TrainedModel::check_complete() const {
  if (model && tokenizer) return;
  throw InputError(fmt::format("TrainedModel: expected a model and a tokenizer, found no {}; load() or train one first",
                               model ? "tokenizer" : "model"));
}

std::vector<std::string> TrainedModel::generate(const std::vector<std::string>& prompts,
                                                const GenerationOptions& options) const {
  check_complete();
  return lockstep::generation::generate(*model, *tokenizer, prompts, options);
}

void TrainedModel::save(const std::filesystem::path& folder, SaveOptions options) const {
  check_complete();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) core::throw_system_error("create the folder", folder, error.value());
  options.pad_id = tokenizer->pad_id();
  if (models::has_adapter(*model)) {
    models::save_adapter(*model, folder, options.type, options.weights);
  } else {
    models::save_model(*model, folder, options);
  }
  tokenizer->save(folder);
}

}  // namespace lockstep::generation
