#include "lockstep/train/pretrained_model.h"

#include "lockstep/models/lora.h"
#include "lockstep/models/pretrained.h"

namespace lockstep {

ResolvedModel resolve_on_ranks(const std::string& name, const ResolveOptions& options,
                               const HubSettingsSource& settings, Communicator& communicator) {
  ResolvedModel resolved;
  run_on_all(communicator, [&] {
    if (communicator.is_root()) resolved = resolve_model(name, options, settings);
  });
  for (auto* text : {&resolved.commit, &resolved.name}) *text = text_of_root(communicator, *text);
  for (auto* path : {&resolved.folder, &resolved.cache, &resolved.adapter, &resolved.tokenizer}) {
    *path = text_of_root(communicator, path->string());
  }
  if (resolved.commit.empty()) return resolved;
  run_on_all(communicator, [&] {
    if (communicator.is_root()) return;
    const bool is_whole = resolved.tokenizer == resolved.folder;
    resolved.folder =
        find_cached_model(resolved.name, resolved.commit, options.files, {resolved.cache, settings().cache});
    if (is_whole) resolved.tokenizer = resolved.folder;
  });
  return resolved;
}

std::shared_ptr<LanguageModel> load_resolved(const ResolvedModel& resolved) {
  auto model = load_model(resolved.folder);
  model->set_origin(resolved.name);
  if (!resolved.adapter.empty()) load_adapter(*model, resolved.adapter);
  return model;
}

}  // namespace lockstep
