#include "byte_level_tokenizer.h"

#include <fmt/format.h>

#include <atomic>
#include <sstream>

#include "added_token_tokenizer.h"
#include "bpe_model.h"
#include "byte_level.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Merges = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kJsonFile = "tokenizer.json";
constexpr std::size_t kCachedWords = 1 << 16;
constexpr std::size_t kLongestCachedWord = 64;

// How text becomes words, and what stands round them.
struct ByteLevelOptions {
  bool add_prefix_space = false;
  bool use_regex = true;
  std::optional<std::string> bos;  // put before every text
};

// Words that one thread met before, of the tokenizer that it used last.
struct WordCache {
  std::uint64_t owner = 0;
  std::unordered_map<std::string, std::vector<TokenId>> words;
};

class ByteLevelTokenizer final : public AddedTokenTokenizer {
 public:
  ByteLevelTokenizer(Settings settings, AddedTokens added_tokens, std::shared_ptr<const BpeModel> model,
                     ByteLevelOptions options)
      : AddedTokenTokenizer(std::move(settings), std::move(added_tokens)),
        model_(std::move(model)),
        options_(std::move(options)),
        number_(++count_) {}

  static std::shared_ptr<Tokenizer> make(const fs::path& folder, const TokenizerFolderSettings& folder_settings,
                                         std::shared_ptr<const BpeModel> model, ByteLevelOptions options,
                                         AddedTokens added_tokens) {
    const auto id_of = [&](const std::string& token) { return model->find(token); };
    const std::string gpt2_special = "<|endoftext|>";
    const bool has_gpt2_special = model->find(gpt2_special) || added_tokens.find(gpt2_special) != nullptr;
    const auto fallback = has_gpt2_special ? std::optional(gpt2_special) : std::nullopt;
    auto settings =
        make_settings(folder, folder_settings,
                      {.bos = fallback, .eos = fallback, .pad = std::nullopt, .tokenizer_class = "GPT2Tokenizer"},
                      id_of, added_tokens);
    if (options.bos)
      settings.bos = added_tokens.find(*options.bos) ? added_tokens.find(*options.bos)->id : id_of(*options.bos);
    const auto configured = folder_settings.config.find("add_bos_token");
    const bool is_configured = configured != folder_settings.config.end() && configured->is_boolean();
    settings.adds_bos = settings.bos && (is_configured ? configured->get<bool>() : options.bos.has_value());
    return std::make_shared<ByteLevelTokenizer>(std::move(settings), std::move(added_tokens), std::move(model),
                                                std::move(options));
  }

  std::size_t vocabulary_size() const override { return model_->size(); }

 protected:
  void encode_text(std::string_view text, std::vector<TokenId>& ids) const override {
    std::string prefixed;
    if (options_.add_prefix_space && !text.starts_with(' ')) text = prefixed = fmt::format(" {}", text);
    if (!options_.use_regex) {
      model_->encode(text, ids);
      return;
    }
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = gpt2_word_end(text, begin);
      encode_word(text.substr(begin, end - begin), ids);
      begin = end;
    }
  }

  std::optional<std::string> model_token(TokenId id) const override {
    return model_->contains(id) ? std::optional(model_->token(id)) : std::nullopt;
  }

  std::string join(const std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) append_byte_level_decoded(token, bytes);
    return replace_invalid_utf8(bytes);
  }

 private:
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const {
    if (word.size() > kLongestCachedWord) {
      model_->encode(word, ids);
      return;
    }
    thread_local WordCache cache;
    if (cache.owner != number_ || cache.words.size() >= kCachedWords) cache = {number_, {}};
    const auto [entry, is_new] = cache.words.try_emplace(std::string(word));
    if (is_new) model_->encode(word, entry->second);
    ids.insert(ids.end(), entry->second.begin(), entry->second.end());
  }

  static inline std::atomic<std::uint64_t> count_{0};

  std::shared_ptr<const BpeModel> model_;
  ByteLevelOptions options_;
  std::uint64_t number_;  // never used again, unlike an address
};

[[noreturn]] void refuse_component(const char* kind, const Json& json) {
  const std::string type = json.is_object() ? json.value("type", "without a type") : json.dump();
  throw InputError(fmt::format("{}: the {} '{}' is not supported (byte-level BPE is)", kJsonFile, kind, type));
}

std::string component_type(const Json& json) { return json.is_object() ? json.value("type", "") : ""; }

// The parts of a component: those of a Sequence, or itself; none for null.
std::vector<Json> parts(const Json& component, const char* list_key) {
  if (component.is_null()) return {};
  if (component_type(component) == "Sequence") return component.at(list_key).get<std::vector<Json>>();
  return {component};
}

void read_pre_tokenizer(const Json& root, ByteLevelOptions& options) {
  const auto components = parts(root.value("pre_tokenizer", Json()), "pretokenizers");
  if (components.size() != 1 || component_type(components[0]) != "ByteLevel") {
    for (const Json& component : components) {
      if (component_type(component) != "ByteLevel") refuse_component("pre_tokenizer", component);
    }
    throw InputError(fmt::format("{}: expected one ByteLevel pre_tokenizer, found {}", kJsonFile, components.size()));
  }
  options.add_prefix_space = components[0].value("add_prefix_space", true);
  options.use_regex = components[0].value("use_regex", true);
}

void read_post_processor(const Json& root, ByteLevelOptions& options) {
  for (const Json& processor : parts(root.value("post_processor", Json()), "processors")) {
    const std::string type = component_type(processor);
    if (type == "RobertaProcessing") {
      options.bos = processor.at("cls").at(0).get<std::string>();
    } else if (type == "TemplateProcessing") {
      const Json& first = processor.at("single").at(0);
      if (first.contains("SpecialToken")) options.bos = first.at("SpecialToken").at("id").get<std::string>();
    } else if (type != "ByteLevel") {
      refuse_component("post_processor", processor);
    }
  }
}

Merges read_merges(const Json& model) {
  Merges merges;
  for (const Json& merge : model.at("merges")) {
    if (merge.is_array()) {
      merges.emplace_back(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
      continue;
    }
    const auto text = merge.get<std::string>();
    const std::size_t blank = text.find(' ');
    if (blank == std::string::npos) throw InputError(fmt::format("{}: the merge '{}' is not a pair", kJsonFile, text));
    merges.emplace_back(text.substr(0, blank), text.substr(blank + 1));
  }
  return merges;
}

std::shared_ptr<const BpeModel> read_bpe_model(const Json& model) {
  // Older files leave the type out; only BPE has merges.
  if (model.value("type", model.contains("merges") ? "BPE" : "") != "BPE") refuse_component("model", model);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.contains(key) && model.at(key).is_string() && !model.at(key).get<std::string>().empty()) {
      throw InputError(fmt::format("{}: model.{} is not supported for byte-level BPE", kJsonFile, key));
    }
  }
  if (model.value("byte_fallback", false))
    throw InputError(fmt::format("{}: model.byte_fallback is not supported", kJsonFile));
  BpeModel::Vocabulary vocabulary;
  for (const auto& [token, id] : model.at("vocab").items()) vocabulary.emplace(token, id.get<TokenId>());
  return std::make_shared<BpeModel>(std::move(vocabulary), read_merges(model), model.value("ignore_merges", false));
}

std::shared_ptr<Tokenizer> parse_tokenizer_json(const fs::path& folder, const TokenizerFolderSettings& settings) {
  const Json root = read_json_file(folder / kJsonFile);
  auto model = read_bpe_model(root.at("model"));
  for (const Json& normalizer : parts(root.value("normalizer", Json()), "normalizers"))
    refuse_component("normalizer", normalizer);
  ByteLevelOptions options;
  read_pre_tokenizer(root, options);
  read_post_processor(root, options);
  AddedTokens added_tokens;
  if (root.contains("added_tokens")) {
    for (const Json& token : root.at("added_tokens"))
      added_tokens.add(read_added_token(token, token.at("id").get<TokenId>()));
  }
  return ByteLevelTokenizer::make(folder, settings, std::move(model), std::move(options), std::move(added_tokens));
}

Merges read_merges_file(const fs::path& path) {
  Merges merges;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (merges.empty() && line.starts_with("#version"))) continue;
    const std::size_t blank = line.find(' ');
    if (blank == std::string::npos)
      throw InputError(fmt::format("{}: the line '{}' is not a pair of tokens", path.string(), line));
    merges.emplace_back(line.substr(0, blank), line.substr(blank + 1));
  }
  return merges;
}

}  // namespace

std::shared_ptr<Tokenizer> load_tokenizer_json(const fs::path& folder, const TokenizerFolderSettings& settings) {
  try {
    return parse_tokenizer_json(folder, settings);
  } catch (const Json::exception& error) {
    throw InputError(
        fmt::format("{}: not a tokenizer of the expected form: {}", (folder / kJsonFile).string(), error.what()));
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", folder.string(), error.what()));
  }
}

std::shared_ptr<Tokenizer> load_vocab_and_merges(const fs::path& folder, const TokenizerFolderSettings& settings) {
  const fs::path vocabulary_path = folder / "vocab.json";
  BpeModel::Vocabulary vocabulary;
  try {
    const Json json = read_json_file(vocabulary_path);
    for (const auto& [token, id] : json.items()) vocabulary.emplace(token, id.get<TokenId>());
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{}: expected tokens and their ids: {}", vocabulary_path.string(), error.what()));
  }
  std::shared_ptr<const BpeModel> model;
  try {
    model = std::make_shared<BpeModel>(std::move(vocabulary), read_merges_file(folder / "merges.txt"), false);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", folder.string(), error.what()));
  }
  ByteLevelOptions options;
  options.add_prefix_space = settings.config.value("add_prefix_space", false);
  return ByteLevelTokenizer::make(folder, settings, std::move(model), options, {});
}

}  // namespace lockstep
