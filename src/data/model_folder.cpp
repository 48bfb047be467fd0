#include "lockstep/data/model_folder.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

std::uint64_t positive_integer(const Json& config, std::string_view key, std::uint64_t fallback,
                               const std::filesystem::path& path) {
  const auto found = config.find(std::string(key));
  if (found == config.end()) return fallback;
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() == 0) {
    throw InputError(fmt::format("{}: \"{}\": expected a positive integer, found {}; correct the file", path.string(),
                                 key, found->dump()));
  }
  return found->get<std::uint64_t>();
}

}  // namespace

const std::vector<ModelFamily>& supported_model_families() {
#define LOCKSTEP_MODEL_TYPE(model_type, ...) {#model_type, __VA_ARGS__},
  static const std::vector<ModelFamily> families{
#include "lockstep/data/model_types.inc"
  };
#undef LOCKSTEP_MODEL_TYPE
  return families;
}

const ModelFamily& find_model_family(const Json& config, const std::filesystem::path& path) {
  const auto& families = supported_model_families();
  const auto found = config.find("model_type");
  const bool named = found != config.end() && found->is_string();
  if (named) {
    const auto family = std::ranges::find(families, found->get<std::string>(), &ModelFamily::model_type);
    if (family != families.end()) return *family;
  }
  std::vector<std::string_view> names;
  for (const auto& family : families) names.push_back(family.model_type);
  throw InputError(fmt::format("{}: expected a supported \"model_type\" ({}), found {}; give a model of these families",
                               path.string(), fmt::join(names, ", "), found == config.end() ? "none" : found->dump()));
}

ModelFolder describe_model_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    throw InputError(
        fmt::format("{}: expected a model folder (with config.json and tokenizer files), found {}; give the path of "
                    "one (resolve_model() finds the folder of a hub model)",
                    folder.string(), std::filesystem::exists(folder, error) ? "a file" : "no such folder"));
  }
  const auto path = folder / "config.json";
  if (!std::filesystem::exists(path, error)) {
    throw InputError(fmt::format(
        "{}: expected a model folder, found one without config.json; give the folder of a model", folder.string()));
  }
  const Json config = core::read_json_file(path);
  if (!config.is_object()) throw InputError(fmt::format("{}: expected a JSON object; correct the file", path.string()));
  const ModelFamily& family = find_model_family(config, path);
  const auto declared = config.find("is_encoder_decoder");
  if (declared != config.end() && *declared != family.has_encoder) {
    throw InputError(
        fmt::format("{}: \"is_encoder_decoder\": expected {} for model_type \"{}\", found {}; give the full model",
                    path.string(), family.has_encoder, family.model_type, declared->dump()));
  }
  ModelFolder model;
  model.model_type = family.model_type;
  model.has_encoder = family.has_encoder;
  model.vocabulary_size = positive_integer(config, "vocab_size", family.default_vocabulary, path);
  if (!family.positions_key.empty()) {
    model.max_positions = positive_integer(config, family.positions_key, family.default_positions, path);
  }
  return model;
}

void check_has_encoder(const ModelFolder& model, bool has_encoder, const std::filesystem::path& folder) {
  if (model.has_encoder == has_encoder) return;
  throw InputError(fmt::format("{}: has_encoder: expected {} for model_type \"{}\", found {}; set has_encoder: {}",
                               folder.string(), model.has_encoder, model.model_type, has_encoder, model.has_encoder));
}

void check_vocabulary(const Tokenizer& tokenizer, std::uint64_t vocabulary_size) {
  if (tokenizer.vocabulary_size() > vocabulary_size) {
    throw InputError(
        fmt::format("expected a tokenizer whose vocabulary fits the model's embedding of {} rows "
                    "(\"vocab_size\" in config.json), found one of {} entries; give the tokenizer that "
                    "belongs to the model",
                    vocabulary_size, tokenizer.vocabulary_size()));
  }
  std::vector<TokenId> special_ids = tokenizer.ids_before();
  special_ids.insert(special_ids.end(), tokenizer.ids_after().begin(), tokenizer.ids_after().end());
  if (tokenizer.eos_id()) special_ids.push_back(*tokenizer.eos_id());
  for (const TokenId special : special_ids) {
    if (special >= vocabulary_size) {
      throw InputError(
          fmt::format("the tokenizer's special token \"{}\" has the id {}, beyond the model's embedding of "
                      "{} rows (\"vocab_size\" in config.json); give the tokenizer that belongs to the "
                      "model",
                      tokenizer.token(special), special, vocabulary_size));
    }
  }
}

LengthLimit find_length_limit(std::optional<std::size_t> requested, const Tokenizer& tokenizer,
                              const std::optional<std::uint64_t>& max_positions) {
  LengthLimit limit = requested ? LengthLimit{requested, "model_max_length"}
                                : LengthLimit{tokenizer.model_max_length(), "the tokenizer's own limit"};
  if (max_positions && (!limit.tokens || *limit.tokens > *max_positions)) {
    limit = {max_positions, "the model's positions"};
  }
  return limit;
}

std::optional<std::size_t> resolve_max_length(std::optional<std::size_t> requested, const Tokenizer& tokenizer,
                                              const std::optional<std::uint64_t>& max_positions) {
  const LengthLimit limit = find_length_limit(requested, tokenizer, max_positions);
  if (!requested) {
    spdlog::warn(
        "model_max_length is not given: {}. A limit that suits the data is preferable for fine-tuning: it bounds "
        "memory and time",
        limit.tokens ? fmt::format("examples are truncated to {} tokens, {}", *limit.tokens, limit.origin)
                     : std::string("examples are not truncated"));
  } else if (limit.tokens != requested) {
    spdlog::warn("model_max_length {} exceeds the model's {} positions; {} is used instead", *requested, *limit.tokens,
                 *limit.tokens);
  }
  return limit.tokens;
}

}  // namespace lockstep::data
