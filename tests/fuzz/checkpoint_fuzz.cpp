// Fuzzes the manifest.json of a checkpoint: any content must be judged, and only files in the folder may be read.
#include "lockstep/train/checkpoints/checkpoint.h"

#include "fuzz_input.h"
#include "lockstep/core/digest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  static const fuzz::InputFolder folder;
  const auto text = fuzz::as_text(data, size);
  folder.write(train::kTrainerStateFile, "state");
  folder.write(train::kCheckpointManifestFile, text);
  const std::string flaw = train::find_defect(folder.path());
  const bool is_named = text.find(core::sha256("state")) != std::string_view::npos;
  fuzz::require(!flaw.empty() || is_named, "a checkpoint is whole only by the digests of its files");
  return 0;
}
