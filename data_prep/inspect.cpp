#include <fmt/format.h>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "data_prep/commands.h"
#include "data_prep/examples.h"
#include "data_prep/prepared_sets.h"
#include "data_prep/summary.h"
#include "lockstep/core/error.h"
#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::data_prep {
namespace {

constexpr std::uint64_t kDefaultExamples = 2;

struct Arguments {
  std::string folder, tokenizer;
  std::uint64_t examples = kDefaultExamples;
  std::uint64_t row = 0;  // counts from 1; 0: not given
};

std::shared_ptr<const Tokenizer> load_tokenizer_of(const data::PreparedDataset& dataset, const Arguments& arguments,
                                                   const std::filesystem::path& set) {
  const bool given = !arguments.tokenizer.empty();
  const std::string model = given ? arguments.tokenizer : dataset.manifest().pretrained_model_name;
  std::shared_ptr<const Tokenizer> tokenizer;
  try {
    const hub::ResolvedModel resolved =
        hub::resolve_model(model, {.files = hub::ModelFiles::kWithoutWeights}, hub::hub_settings_from_environment);
    tokenizer = load_tokenizer(resolved.tokenizer, resolved.folder);
  } catch (const InputError& problem) {
    throw InputError(fmt::format("{}{}", problem.what(),
                                 given ? "" : "; or give the folder or name of the set's tokenizer as --tokenizer"));
  }
  if (tokenizer->digest() != dataset.tokenizer_digest()) {
    throw InputError(
        fmt::format("{}: expected the tokenizer that the set was made with (sha256 {:.12}...), found another in {} "
                    "({:.12}...); give its folder or name as --tokenizer",
                    set.string(), dataset.tokenizer_digest(), model, tokenizer->digest()));
  }
  return tokenizer;
}

void print_row(const data::PreparedDataset& dataset, std::uint64_t row, const Tokenizer& tokenizer,
               const std::filesystem::path& set) {
  if (row > dataset.size()) {
    throw InputError(fmt::format("{}: --row: expected 1 to {}, the number of examples, found {}", set.string(),
                                 dataset.size(), row));
  }
  const data::Example example = dataset.read(row - 1);
  fmt::print("{}", format_example(dataset, row - 1, tokenizer));
  fmt::print("input ids: {}\ntarget ids: {}\n", fmt::join(example.input, " "), fmt::join(example.target, " "));
}

void inspect(const Arguments& arguments) {
  const auto sets = find_prepared_sets(arguments.folder);
  for (const auto& set : sets) {
    const auto dataset = data::PreparedDataset::open(set, data::VerifyShards::kNo);
    if (arguments.row > 0) return print_row(*dataset, arguments.row, *load_tokenizer_of(*dataset, arguments, set), set);
    const data::Manifest& manifest = dataset->manifest();
    fmt::print("{}\n{}", format_summary(set, manifest), format_histograms(manifest.report));
    const std::uint64_t count = std::min(arguments.examples, dataset->size());
    if (count == 0) continue;
    const auto tokenizer = load_tokenizer_of(*dataset, arguments, set);
    fmt::print("\n");
    for (std::uint64_t i = 0; i < count; ++i) fmt::print("{}", format_example(*dataset, i, *tokenizer));
    if (set != sets.back()) fmt::print("\n");
  }
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("inspect",
                                         "Shows what prepared sets contain: counts, a histogram of lengths, and "
                                         "decoded examples with their labels marked.");
  command->add_option("folder", arguments->folder, "prepared_dir, or its train/ or validation/")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--tokenizer", arguments->tokenizer,
                   "folder or hub name of the tokenizer; the default is the model that the manifest names")
      ->type_name("MODEL");
  auto* examples = command->add_option("--examples", arguments->examples, "number of decoded examples of each set")
                       ->type_name("N")
                       ->capture_default_str();
  command
      ->add_option("--row", arguments->row,
                   "print only example N, counted from 1, with its ids (from train/ if DIR is a prepared_dir)")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->excludes(examples);
  command->footer(
      "Labels are between « and »; the model learns nothing else. Control characters and\n"
      "backslashes are escaped, and ␣ is a blank at the end of a text. "
      "Exit code: 0, or 1 with one message on stderr.");
  command->callback([arguments] { inspect(*arguments); });
}

}  // namespace lockstep::data_prep
