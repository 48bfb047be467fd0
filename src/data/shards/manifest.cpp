#include "lockstep/data/shards/manifest.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

constexpr const char* kFormat = "lockstep-shards";

constexpr std::array<const char*, 3> kParts{"all", "training", "validation"};  // names of RowSelection::Part

const char* name_of(RowSelection::Part part) { return kParts.at(static_cast<std::size_t>(part)); }

RowSelection selection_from_json(const Json& json) {
  RowSelection selection;
  selection.deduplicate = json.at("deduplicate");
  selection.validation_split = json.at("validation_split");
  const std::string part = json.at("part");
  const auto found = std::ranges::find(kParts, part);
  if (found == kParts.end()) throw Error(fmt::format("\"{}\" is not a part of a split", part));
  selection.part = static_cast<RowSelection::Part>(found - kParts.begin());
  return selection;
}

Json to_json(const std::optional<std::string>& text) { return text ? Json(*text) : Json(nullptr); }

Json to_json(const RowFormat& format) {
  return {{"input_column", format.input_column},
          {"output_column", format.output_column},
          {"prompt_template", format.prompt_template},
          {"response_template", format.response_template},
          {"input_contains_output", name_of(format.input_contains_output)},
          {"csv_delimiter", to_json(format.csv_delimiter)},
          {"csv_quote", to_json(format.csv_quote)}};
}

InputContainsOutput input_contains_output_from_json(const Json& json) {
  const auto name = json.get<std::string>();
  if (const auto value = job::value_named<InputContainsOutput>(name)) return *value;
  throw InputError(fmt::format("input_contains_output: expected auto, true or false, found '{}'", name));
}

// Sets that earlier versions prepared do not have these keys.
std::optional<std::string> text_or(const Json& json, const char* key, std::optional<std::string> otherwise) {
  const auto found = json.find(key);
  if (found == json.end()) return otherwise;
  return found->is_null() ? std::nullopt : std::optional(found->get<std::string>());
}

RowFormat row_format_from_json(const Json& json) {
  const RowFormat defaults;
  return {.input_column = json.at("input_column"),
          .output_column = json.at("output_column"),
          .prompt_template = json.at("prompt_template"),
          .response_template = json.at("response_template"),
          .input_contains_output = input_contains_output_from_json(json.at("input_contains_output")),
          .csv_delimiter = text_or(json, "csv_delimiter", defaults.csv_delimiter),
          .csv_quote = text_or(json, "csv_quote", defaults.csv_quote)};
}

// Returns the first setting that differs, in the form of Manifest::difference(); empty if none does.
std::string difference(const RowFormat& mine, const RowFormat& other) {
  const Json my_settings = to_json(mine);
  const Json other_settings = to_json(other);
  for (const auto& [key, value] : my_settings.items()) {
    const Json& other_value = other_settings.at(key);
    if (value != other_value) return fmt::format("{} {} instead of {}", key, other_value.dump(), value.dump());
  }
  return "";
}

Manifest manifest_from_json(const Json& json) {
  Manifest manifest;
  manifest.pretrained_model_name = json.at("pretrained_model_name");
  manifest.has_encoder = json.at("has_encoder");
  if (!json.at("model_max_length").is_null()) {
    manifest.model_max_length = core::json_count(json.at("model_max_length"));
  }
  manifest.tokenizer_sha256 = json.at("tokenizer_sha256");
  manifest.vocabulary_size = core::json_count(json.at("vocabulary_size"));
  manifest.row_format = row_format_from_json(json.at("row_format"));
  manifest.selection = selection_from_json(json.at("selection"));
  manifest.report = TokenizationReport::read_from(json);
  for (const auto& source : json.at("sources")) {
    manifest.sources.push_back({source.at("path"), source.at("sha256"), core::json_count(source.at("rows"))});
    manifest.report.read.dataset_rows.push_back(manifest.sources.back().rows);
  }
  for (const auto& shard : json.at("shards")) {
    manifest.shards.push_back({shard.at("name"), shard.at("sha256"), core::json_count(shard.at("bytes")),
                               core::json_count(shard.at("examples"))});
  }
  return manifest;
}

}  // namespace

std::string Manifest::difference_of_settings(const Manifest& other) const {
  const auto limit = [](const Manifest& manifest) {
    return manifest.model_max_length ? fmt::to_string(*manifest.model_max_length) : "none";
  };
  if (has_encoder != other.has_encoder) {
    return fmt::format("has_encoder {} instead of {}", other.has_encoder, has_encoder);
  }
  if (limit(*this) != limit(other)) return fmt::format("model_max_length {} instead of {}", limit(other), limit(*this));
  if (tokenizer_sha256 != other.tokenizer_sha256) return "another tokenizer";
  if (vocabulary_size != other.vocabulary_size) {
    return fmt::format("a model with {} embedding rows instead of {}", other.vocabulary_size, vocabulary_size);
  }
  if (auto differs = lockstep::data::difference(row_format, other.row_format); !differs.empty()) return differs;
  if (selection.deduplicate != other.selection.deduplicate) {
    return fmt::format("deduplicate {} instead of {}", other.selection.deduplicate, selection.deduplicate);
  }
  if (selection != other.selection) {
    return fmt::format("validation_split {} instead of {}", other.selection.validation_split,
                       selection.validation_split);
  }
  return "";
}

std::string Manifest::difference(const Manifest& other) const {
  if (auto differs = difference_of_settings(other); !differs.empty()) return differs;
  if (sources.size() != other.sources.size()) {
    return fmt::format("{} files instead of {}", other.sources.size(), sources.size());
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].sha256 != other.sources[i].sha256)
      return fmt::format("rows other than those of {}", sources[i].path);
  }
  return "";
}

Json Manifest::to_json() const {
  Json source_list = Json::array();
  for (const auto& source : sources) {
    source_list.push_back({{"path", source.path}, {"sha256", source.sha256}, {"rows", source.rows}});
  }
  Json shard_list = Json::array();
  for (const auto& shard : shards) {
    shard_list.push_back(
        {{"name", shard.name}, {"sha256", shard.sha256}, {"bytes", shard.bytes}, {"examples", shard.examples}});
  }
  Json json{{"format", kFormat},
            {"format_version", kFormatVersion},
            {"pretrained_model_name", pretrained_model_name},
            {"has_encoder", has_encoder},
            {"model_max_length", model_max_length ? Json(*model_max_length) : Json(nullptr)},
            {"tokenizer_sha256", tokenizer_sha256},
            {"vocabulary_size", vocabulary_size},
            {"row_format", lockstep::data::to_json(row_format)},
            {"ids_type", id_bytes() == 2 ? "uint16" : "uint32"},
            {"selection",
             {{"deduplicate", selection.deduplicate},
              {"validation_split", selection.validation_split},
              {"part", name_of(selection.part)}}},
            {"shards", shard_list},
            {"sources", source_list}};
  report.write(json);
  return json;
}

Manifest Manifest::load(const std::filesystem::path& folder) {
  const auto path = folder / kFileName;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    throw InputError(fmt::format("{}: expected a prepared dataset, found no {}; run lockstep-prep with this job first",
                                 folder.string(), kFileName));
  }
  const Json json = core::read_json_file(path);
  const auto member = [&](const char* key) {
    const auto found = json.find(key);
    return found == json.end() ? Json() : *found;
  };
  if (member("format") != Json(kFormat)) {
    throw InputError(
        fmt::format("{}: expected a manifest of lockstep-prep (\"format\": \"{}\"), found another file; "
                    "run lockstep-prep again",
                    path.string(), kFormat));
  }
  if (const Json version = member("format_version"); version != Json(kFormatVersion)) {
    throw InputError(fmt::format("{}: expected format version {}, found {}; run lockstep-prep of this version again",
                                 path.string(), kFormatVersion, version.dump()));
  }
  try {
    return manifest_from_json(json);
  } catch (const std::exception& problem) {  // from nlohmann::json or from reading a histogram
    throw InputError(fmt::format("{}: expected a complete manifest, found: {}; run lockstep-prep again", path.string(),
                                 problem.what()));
  }
}

}  // namespace lockstep::data
