#include <fmt/format.h>
#include <memory>
#include <string>

#include "data_prep/commands.h"
#include "data_prep/prepared_sets.h"
#include "lockstep/core/error.h"
#include "lockstep/data/shards/verify_shards.h"

namespace lockstep::data_prep {
namespace {

// Returns whether the set is intact. A set without a readable manifest counts as damaged, so that the others are still
// checked.
bool verify(const std::filesystem::path& folder) {
  std::vector<std::string> problems;
  data::Manifest manifest;
  try {
    manifest = data::Manifest::load(folder);
    problems = data::find_damage(folder, manifest);
  } catch (const Error& problem) {
    problems.emplace_back(problem.what());
  }
  std::uint64_t bytes = 0;
  for (const auto& shard : manifest.shards) bytes += shard.bytes;
  fmt::print("{}: {}\n", folder.string(),
             problems.empty() ? fmt::format("intact: {} examples in {} shards, {:.1f} MB", manifest.report.examples,
                                            manifest.shards.size(), static_cast<double>(bytes) / 1e6)
                              : fmt::format("damaged: {} problem{}", problems.size(), problems.size() == 1 ? "" : "s"));
  for (const auto& problem : problems) fmt::print(stderr, "{}\n", problem);
  return problems.empty();
}

void verify_all(const std::filesystem::path& folder) {
  bool whole = true;
  for (const auto& set : find_prepared_sets(folder)) whole = verify(set) && whole;
  if (!whole) {
    throw InputError(
        fmt::format("{}: expected intact sets, found the damaged ones named above; run lockstep-prep again "
                    "with overwrite_output_dir=true",
                    folder.string()));
  }
}

}  // namespace

void add_verify_command(CLI::App& app) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "verify",
      "Reads every shard of prepared sets completely and compares it with the manifest: size and sha256, HDF5's own\n"
      "checksums, ascending offsets, ids below the vocabulary's size, counts of examples and tokens, lengths.");
  command->add_option("folder", *folder, "prepared_dir, or its train/ or validation/")->required()->type_name("DIR");
  command->footer(
      "Prints one line per set, and one line on stderr for every damaged shard.\n"
      "Exit code: 0 if all sets are intact, else 1.");
  command->callback([folder] { verify_all(*folder); });
}

}  // namespace lockstep::data_prep
