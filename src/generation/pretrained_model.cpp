#include "lockstep/generation/pretrained_model.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <chrono>

#include "lockstep/data/model_folder.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/pretrained.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::generation {
namespace {

void complete(LanguageModel& model, const hub::ResolvedModel& resolved) {
  model.set_origin(resolved.name);
  if (!resolved.adapter.empty()) models::load_adapter(model, resolved.adapter);
}

std::shared_ptr<LanguageModel> broadcast_model(const std::filesystem::path& folder, Communicator& communicator) {
  std::unique_ptr<models::PretrainedWeights> weights;  // on the root
  at::Tensor has_untied_head = torch::zeros({1}, at::kLong);
  comm::run_on_all(communicator, [&] {
    if (!communicator.is_root()) return;
    weights = std::make_unique<models::PretrainedWeights>(folder);
    has_untied_head[0] = weights->has_untied_head() ? 1 : 0;
  });
  communicator.broadcast_from_root(has_untied_head);
  std::shared_ptr<LanguageModel> model;
  comm::run_on_all(communicator, [&] {
    model = models::build_model(folder, has_untied_head.item<std::int64_t>() != 0);
    if (weights) weights->check(*model);
  });
  const std::string config = comm::broadcast_text(communicator, model->info().config.dump());
  comm::run_on_all(communicator, [&] {
    if (model->info().config.dump() == config) return;
    throw InputError(
        fmt::format("{}: expected the config.json of rank 0, whose weights are sent, found another; give "
                    "all ranks the same",
                    folder.string()));
  });
  for (const auto& parameter : model->named_parameters()) {
    if (weights) weights->copy(parameter.key(), parameter.value());
    communicator.broadcast_from_root(parameter.value());
  }
  return model;
}

}  // namespace

hub::ResolvedModel resolve_on_ranks(const std::string& name, const hub::ResolveOptions& options,
                                    const hub::HubSettingsSource& settings, Communicator& communicator) {
  hub::ResolvedModel resolved;
  comm::run_on_all(communicator, [&] {
    if (communicator.is_root()) resolved = hub::resolve_model(name, options, settings);
  });
  for (auto* text : {&resolved.commit, &resolved.name}) *text = comm::broadcast_text(communicator, *text);
  for (auto* path : {&resolved.folder, &resolved.cache, &resolved.adapter, &resolved.tokenizer}) {
    *path = comm::broadcast_text(communicator, path->string());
  }
  if (resolved.commit.empty()) return resolved;
  comm::run_on_all(communicator, [&] {
    if (communicator.is_root()) return;
    const bool is_whole = resolved.tokenizer == resolved.folder;
    resolved.folder =
        hub::find_cached_model(resolved.name, resolved.commit, options.files, {resolved.cache, settings().cache});
    if (is_whole) resolved.tokenizer = resolved.folder;
  });
  return resolved;
}

std::shared_ptr<LanguageModel> load_resolved(const hub::ResolvedModel& resolved) {
  auto model = models::load_model(resolved.folder);
  complete(*model, resolved);
  return model;
}

std::shared_ptr<const Tokenizer> load_tokenizer_of(const hub::ResolvedModel& resolved) {
  const data::ModelFolder description = data::describe_model_folder(resolved.folder);
  auto tokenizer = load_tokenizer(resolved.tokenizer, resolved.folder);
  data::check_vocabulary(*tokenizer, description.vocabulary_size);
  return tokenizer;
}

std::shared_ptr<LanguageModel> load_on_ranks(const hub::ResolvedModel& resolved, job::WeightsIo io,
                                             Communicator& communicator) {
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<LanguageModel> model;
  if (io == job::WeightsIo::kBroadcast) model = broadcast_model(resolved.folder, communicator);
  comm::run_on_all(communicator, [&] {
    if (io == job::WeightsIo::kEach) {
      model = load_resolved(resolved);
    } else {
      complete(*model, resolved);
    }
  });
  std::uint64_t bytes = 0;
  for (const auto& parameter : model->parameters()) bytes += parameter.nbytes();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  spdlog::info("weights of {:.1f} MB read in {:.3f} s", static_cast<double>(bytes) / 1e6, taken.count());
  return model;
}

}  // namespace lockstep::generation
