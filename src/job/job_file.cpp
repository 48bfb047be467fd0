#include "lockstep/job/job_file.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>
#include <set>
#include <utility>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::job {
namespace {

KeyTable::Text to_text(const YAML::Node& node, const std::string& where) {
  if (node.IsNull()) return {{"none"}};
  if (node.IsScalar()) return {{node.Scalar()}};
  if (!node.IsSequence())
    throw InputError(where + ": expected a value or a list, found a mapping; quote text that has braces or a colon");
  KeyTable::Text text{.items = {}, .is_list = true};
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) throw InputError(where + ": expected a list of plain values");
    text.items.push_back(item.Scalar());
  }
  return text;
}

void apply_file(KeyTable& table, const std::filesystem::path& path, std::set<std::string>& given) {
  const std::string name = path.string();
  YAML::Node root;
  try {
    root = YAML::Load(core::read_file(path));
  } catch (const YAML::Exception& error) {
    throw InputError(fmt::format("{}: line {}: not valid YAML: {}", name, error.mark.line + 1, error.msg));
  }
  if (!root.IsMap()) throw InputError(name + ": expected 'key: value' lines, found none");
  for (const auto& entry : root) {
    const std::string where = fmt::format("{}: line {}", name, entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) throw InputError(where + ": expected a key's name");
    const std::string& key = entry.first.Scalar();
    if (!given.insert(key).second) throw InputError(fmt::format("{}: key '{}' is given twice; keep one", where, key));
    table.set(key, to_text(entry.second, where), where);
  }
}

void apply_override(KeyTable& table, const std::string& argument, std::set<std::string>& given) {
  const std::string where = fmt::format("command line: '{}'", argument);
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0) throw InputError(where + ": expected key=value");
  YAML::Node value;
  try {
    value = YAML::Load(argument.substr(equals + 1));
  } catch (const YAML::Exception& error) {
    throw InputError(fmt::format("{}: not a valid value: {}", where, error.msg));
  }
  const std::string key = argument.substr(0, equals);
  table.set(key, to_text(value, where), where);
  given.insert(key);
}

}  // namespace

void JobFile::bind(KeyTable& table) {
  table.add("pretrained_model_name", &pretrained_model_name,
            "folder with config.json, weights and tokenizer files, or a hub name: ORG/NAME or ORG/NAME@REVISION");
  table.add("has_encoder", &has_encoder, "true: T5-type (encoder-decoder); false: GPT-type (decoder-only)");
  table.add("from_scratch", &from_scratch, "start from random weights that follow the model's config.json");
  table.add("weights_io", &weights_io,
            "each: every rank reads the model's weights; broadcast: rank 0 reads them and sends them to the others, "
            "for slow file systems");
  table.add("model_max_length", &model_max_length,
            "maximum number of tokens, of source and target each (T5-type) or of both together (GPT-type); none: the "
            "tokenizer's own limit, else the model's",
            KeyTable::Range{2, 1e9});
  table.add("training_datasets", &training_datasets,
            "files, which together form one training set (.jsonl, .json, .csv or .tsv, optionally with .gz, .zst, .bz2 "
            "or .lz4 appended; .parquet; .arrow), patterns (data/*.jsonl), or save_to_disk folders (FOLDER:SPLIT of a "
            "DatasetDict; the default split is train)");
  table.add("validation_datasets", &validation_datasets,
            "the same for the validation loss; the default split is validation");
  table.add("input_column", &input_column, "column that holds the input");
  table.add("output_column", &output_column, "column that holds the output");
  table.add("prompt_template", &prompt_template,
            "text that the model reads, with any column in braces, e.g. \"Question: {question}\\nAnswer: \"; {{ and }} "
            "stand for braces; {model_input} is the column that input_column names");
  table.add("response_template", &response_template,
            "text that the model learns to write; {model_output} is the column that output_column names");
  table.add("input_contains_output", &input_contains_output,
            "whether inputs already end with their outputs, which are then removed from the inputs; auto: yes for a "
            "GPT-type model if the rows of all datasets do");
  table.add(
      "csv_delimiter", &csv_delimiter,
      "character between the cells of CSV and TSV files, e.g. \";\", or tab; none: a comma in .csv, a tab in .tsv");
  table.add("csv_quote", &csv_quote,
            "character around cells of CSV and TSV files that contain delimiters or newlines; none: quotes are text");
  table.add("prepared_dir", &prepared_dir, "folder in which lockstep-prep writes train/ and validation/");
  table.add("num_workers", &num_workers, "threads of lockstep-prep; 0: all cores that it may use",
            KeyTable::Range{0, 4096});
  table.add("deduplicate", &deduplicate, "lockstep-prep drops each row that equals an earlier row of its set");
  table.add("validation_split", &validation_split,
            "share of the training rows that lockstep-prep reserves for validation, by their hash, so that equal rows "
            "stay together; 0: none (lockstep train then splits T5-type data by test_size)",
            KeyTable::Range{0, 0.99});
  table.add("shard_text_bytes", &shard_text_bytes,
            "bytes of text in one shard of lockstep-prep, counting 16 more for each row", KeyTable::Range{1, 1e12});
  hyperparameters.bind(table);
}

std::vector<std::pair<std::string, std::string>> JobFile::values() const {
  JobFile job = *this;
  KeyTable table;
  job.bind(table);
  return table.values();
}

std::string JobFile::to_text() const {
  JobFile job = *this, defaults;
  defaults.has_encoder = !has_encoder;  // required, so it must differ from the default
  KeyTable of_job, of_defaults;
  job.bind(of_job);
  defaults.bind(of_defaults);
  return of_job.changes(of_defaults);
}

JobFile load_job_file(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  JobFile job;
  KeyTable table;
  job.bind(table);
  std::set<std::string> given;
  apply_file(table, path, given);
  for (const std::string& argument : overrides) apply_override(table, argument, given);
  for (const auto& [key, remedy] :
       {std::pair{"pretrained_model_name", "give the model's folder or its name on the hub"},
        std::pair{"has_encoder", "true for T5-type, false for GPT-type models"}}) {
    if (!given.contains(key)) throw InputError(fmt::format("{}: {} is missing: {}", path.string(), key, remedy));
  }
  job.hyperparameters.validate();
  return job;
}

std::string describe_job_keys() {
  JobFile job;
  KeyTable table;
  job.bind(table);
  return table.describe();
}

}  // namespace lockstep::job
