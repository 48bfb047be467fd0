#include "lockstep/job/job_file.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/home_folder.h"

namespace lockstep::job {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Throws InputError for a tag such as !!str, which would be ignored.
void refuse_tag(const YAML::Node& node, const std::string& where) {
  const std::string& tag = node.Tag();
  if (tag.empty() || tag == "?" || tag == "!") return;
  throw InputError(fmt::format("{}: expected a value without a tag, found the tag {}; remove it", where, tag));
}

// Returns true if a value that YAML reads as null is written out: null or ~.
bool is_written(const YAML::Node& null, std::string_view text) {
  const YAML::Mark mark = null.Mark();
  if (mark.is_null() || static_cast<std::size_t>(mark.pos) >= text.size()) return false;
  text.remove_prefix(static_cast<std::size_t>(mark.pos));
  for (const std::string_view word : {"~", "null", "Null", "NULL"}) {
    if (text.starts_with(word))
      return text.size() == word.size() ||
             std::string_view(" \t\r\n").find(text[word.size()]) != std::string_view::npos;
  }
  return false;
}

// `text` is the text that `node` was read from.
KeyTable::Text to_text(const YAML::Node& node, std::string_view text, const std::string& where) {
  refuse_tag(node, where);
  if (node.IsNull()) {
    if (is_written(node, text)) return {.items = {"none"}, .is_none = true};
    throw InputError(where + ": expected a value, found none; write one, or remove the key to keep its default");
  }
  if (node.IsScalar()) {
    const bool is_plain = node.Tag() != "!";
    return {.items = {node.Scalar()}, .is_none = is_plain && (node.Scalar() == "none" || node.Scalar() == "None")};
  }
  if (!node.IsSequence())
    throw InputError(where + ": expected a value or a list, found a mapping; quote text that has braces or a colon");
  KeyTable::Text list{.items = {}, .is_list = true};
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) throw InputError(where + ": expected a list of plain values");
    refuse_tag(item, where);
    list.items.push_back(item.Scalar());
  }
  return list;
}

// Notes where the last document begins.
class DocumentStart final : public YAML::EventHandler {
 public:
  int line() const { return line_; }

  void OnDocumentStart(const YAML::Mark& mark) override { line_ = mark.line + 1; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int line_ = 0;
};

// Reads the only document of `text`. `where` returns the position for messages, given a line. YAML::LoadAll() does not
// end for some texts that are no YAML, so documents are looked for one by one.
template <class Where>
YAML::Node load_document(const std::string& text, const Where& where) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStart start;
  if (parser.HandleNextDocument(start) && parser.HandleNextDocument(start)) {
    throw InputError(
        fmt::format("{}: expected one YAML document, found another; remove the lines that are only --- or ...",
                    where(start.line())));
  }
  return YAML::Load(text);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// The YAML library ignores directives, and even one that no document follows.
void refuse_directives(const std::string& text, const std::string& name) {
  int number = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (!line.starts_with('%')) continue;
    throw InputError(fmt::format("{}: line {}: expected a key, found the YAML directive '{}'; remove the line", name,
                                 number, trimmed(line)));
  }
}

void apply_file(KeyTable& table, const std::filesystem::path& path, std::set<std::string>& given) {
  const std::string name = path.string();
  std::string text = core::read_file(path);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  refuse_directives(text, name);
  YAML::Node root;
  try {
    root = load_document(text, [&](int line) { return fmt::format("{}: line {}", name, line); });
  } catch (const YAML::Exception& error) {
    throw InputError(fmt::format("{}: line {}: not valid YAML: {}", name, error.mark.line + 1, error.msg));
  }
  if (!root.IsMap()) throw InputError(name + ": expected 'key: value' lines, found none");
  refuse_tag(root, name);
  for (const auto& entry : root) {
    const std::string where = fmt::format("{}: line {}", name, entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) throw InputError(where + ": expected a key's name");
    refuse_tag(entry.first, where);
    const std::string& key = entry.first.Scalar();
    if (!given.insert(key).second) throw InputError(fmt::format("{}: key '{}' is given twice; keep one", where, key));
    table.check_name(key, where);
    table.set(key, to_text(entry.second, text, fmt::format("{}: {}", where, key)), where);
  }
}

// Returns the key.
std::string apply_override(KeyTable& table, const std::string& argument) {
  const std::string where = fmt::format("command line: '{}'", argument);
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0) throw InputError(where + ": expected key=value");
  const std::string text = argument.substr(equals + 1);
  YAML::Node value;
  try {
    value = load_document(text, [&](int) -> const std::string& { return where; });
  } catch (const YAML::Exception& error) {
    throw InputError(fmt::format("{}: not a valid value: {}", where, error.msg));
  }
  std::string key = argument.substr(0, equals);
  table.check_name(key, where);
  if (value.IsScalar() && value.Tag() == "?" && value.Scalar() != trimmed(text)) {
    throw InputError(fmt::format("{}: expected a value on one line without a comment, found '{}' and more; quote it",
                                 where, value.Scalar()));
  }
  table.set(key, to_text(value, text, fmt::format("{}: {}", where, key)), where);
  return key;
}

void apply_overrides(KeyTable& table, const std::vector<std::string>& arguments, std::set<std::string>& given) {
  std::set<std::string> replaced;
  for (const std::string& argument : arguments) {
    const std::string key = apply_override(table, argument);
    if (!replaced.insert(key).second) {
      throw InputError(fmt::format("command line: '{}': key '{}' is given twice; keep one", argument, key));
    }
    given.insert(key);
  }
}

// Replaces "~" at the start of every path. None of these keys may name a folder that is called "~".
void expand_home_folders(JobFile& job) {
  const auto expand = [](const char* key, std::string& path) {
    try {
      path = core::expand_home(path);
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", key, error.what()));
    }
  };
  expand("pretrained_model_name", job.pretrained_model_name);
  expand("prepared_dir", job.prepared_dir);
  for (std::string& path : job.training_datasets) expand("training_datasets", path);
  for (std::string& path : job.validation_datasets) expand("validation_datasets", path);
  expand("output_dir", job.hyperparameters.output_dir);
  if (job.hyperparameters.logging_dir) expand("logging_dir", *job.hyperparameters.logging_dir);
  expand("resume_from_checkpoint", job.hyperparameters.resume_from_checkpoint.folder);
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
  apply_file(table, core::expand_home(path.string()), given);
  apply_overrides(table, overrides, given);
  for (const auto& [key, remedy] :
       {std::pair{"pretrained_model_name", "give the model's folder or its name on the hub"},
        std::pair{"has_encoder", "true for T5-type, false for GPT-type models"}}) {
    if (!given.contains(key)) throw InputError(fmt::format("{}: {} is missing: {}", path.string(), key, remedy));
  }
  expand_home_folders(job);
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
