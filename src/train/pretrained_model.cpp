#include "lockstep/train/pretrained_model.h"

namespace lockstep {

std::filesystem::path resolve_on_ranks(const std::string& name, const ResolveOptions& options,
                                       const HubSettingsSource& settings, Communicator& communicator) {
  ResolvedModel resolved;
  run_on_all(communicator, [&] {
    if (communicator.is_root()) resolved = resolve_model(name, options, settings);
  });
  const std::string commit = text_of_root(communicator, resolved.commit);
  const std::string cache = text_of_root(communicator, resolved.cache.string());
  if (commit.empty()) return name;
  run_on_all(communicator, [&] {
    if (communicator.is_root()) return;
    resolved.folder = find_cached_model(name, commit, options.files, {cache, settings().cache});
  });
  return resolved.folder;
}

}  // namespace lockstep
