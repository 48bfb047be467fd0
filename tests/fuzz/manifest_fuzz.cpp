// Fuzzes the manifest.json of a prepared set, and a shard's record in an unfinished set.
#include "lockstep/data/shards/manifest.h"

#include "fuzz_input.h"
#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/data/shards/shard_part.h"

namespace lockstep::fuzz {
namespace {

void read_manifest(const InputFolder& folder) {
  try {
    const data::Manifest manifest = data::Manifest::load(folder.path());
    require(manifest.difference(manifest).empty(), "a manifest differs in nothing from itself");
    folder.write(data::Manifest::kFileName, manifest.to_json().dump());
    require(data::Manifest::load(folder.path()) == manifest, "a manifest that is written and read again is the same");
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  static const fuzz::InputFolder folder;
  const auto text = fuzz::as_text(data, size);
  folder.write(data::Manifest::kFileName, text);
  fuzz::read_manifest(folder);
  folder.write("shard-00000.h5", "bytes");
  folder.write("shard-00000.json", text);
  if (const auto part = data::ShardPart::find(folder.path(), 0)) {
    fuzz::require(part->entry.bytes == 5 && part->entry.sha256 == core::sha256("bytes"),
                  "a shard is what its record says");
  }
  return 0;
}
