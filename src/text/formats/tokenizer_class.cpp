#include "text/formats/tokenizer_class.h"

#include <fmt/format.h>
#include <algorithm>
#include <initializer_list>

#include "text/models/byte_model.h"

namespace lockstep::text {
namespace {

namespace fs = std::filesystem;

struct ClassEntry {
  TokenizerClass tokenizer_class;
  const char* name;
  std::initializer_list<std::string_view> model_types;  // the model types that use this class by default
  SpecialTokenTexts special;
};

// Follows transformers: models/auto/tokenization_auto.py, and the defaults of each class's constructor.
const ClassEntry kClasses[] = {
    {TokenizerClass::kT5,
     "T5Tokenizer",
     {"t5", "mt5", "switch_transformers", "musicgen", "musicgen_melody"},
     {.eos = "</s>", .unk = "<unk>", .pad = "<pad>"}},
    {TokenizerClass::kLlama, "LlamaTokenizer", {}, {.bos = "<s>", .eos = "</s>", .unk = "<unk>"}},
    {TokenizerClass::kGemma,
     "GemmaTokenizer",
     {"gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "recurrent_gemma", "t5gemma"},
     {.bos = "<bos>", .eos = "<eos>", .unk = "<unk>", .pad = "<pad>", .mask = "<mask>"}},
    {TokenizerClass::kGpt2,
     "GPT2Tokenizer",
     {"gpt2", "gptj", "gpt_neo", "opt", "phi", "starcoder2", "codegen", "dbrx"},
     {.bos = "<|endoftext|>", .eos = "<|endoftext|>", .unk = "<|endoftext|>"}},
    {TokenizerClass::kGptNeoX,
     "GPTNeoXTokenizer",
     {"gpt_neox", "mpt", "olmo", "olmoe", "mamba", "mamba2", "falcon_mamba", "rwkv"},
     {.bos = "<|endoftext|>", .eos = "<|endoftext|>", .unk = "<|endoftext|>", .pad = "<|padding|>"}},
    {TokenizerClass::kQwen2,
     "Qwen2Tokenizer",
     {"qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"},
     {.eos = "<|endoftext|>", .unk = "<|endoftext|>", .pad = "<|endoftext|>"}},
    {TokenizerClass::kRoberta,
     "RobertaTokenizer",
     {"roberta", "bart", "data2vec-text", "roberta-prelayernorm"},
     {.bos = "<s>", .eos = "</s>", .unk = "<unk>", .sep = "</s>", .pad = "<pad>", .cls = "<s>", .mask = "<mask>"}},
    {TokenizerClass::kByT5, "ByT5Tokenizer", {"byt5"}, {.eos = "</s>", .unk = "<unk>", .pad = "<pad>"}},
};

// Model types that use tokenizer.json unchanged, whatever class tokenizer_config.json names.
constexpr std::string_view kGenericModelTypes[] = {"bigbird_pegasus",
                                                   "ernie4_5",
                                                   "flex_olmo",
                                                   "glm",
                                                   "glm4",
                                                   "gpt_bigcode",
                                                   "granite",
                                                   "granitemoe",
                                                   "granitemoehybrid",
                                                   "granitemoeshared",
                                                   "internlm2",
                                                   "internlm3",
                                                   "jamba",
                                                   "minicpm3",
                                                   "ministral",
                                                   "mistral",
                                                   "mixtral",
                                                   "nemotron",
                                                   "olmo2",
                                                   "olmo3",
                                                   "pegasus_x",
                                                   "persimmon",
                                                   "phi3",
                                                   "phimoe",
                                                   "stablelm",
                                                   "umt5"};
// Model types whose tokenizer_config.json is known to name a wrong class.
constexpr std::string_view kWronglyNamed[] = {"qwen2"};

const ClassEntry* find_entry(TokenizerClass tokenizer_class) {
  const auto found = std::ranges::find(kClasses, tokenizer_class, &ClassEntry::tokenizer_class);
  return found == std::end(kClasses) ? nullptr : &*found;
}

const ClassEntry* find_by_name(std::string_view name) {
  if (name.ends_with("Fast")) name.remove_suffix(4);
  const auto found = std::ranges::find_if(kClasses, [&](const ClassEntry& entry) { return entry.name == name; });
  return found == std::end(kClasses) ? nullptr : &*found;
}

const ClassEntry* find_by_model_type(std::string_view type) {
  const auto found = std::ranges::find_if(
      kClasses, [&](const ClassEntry& entry) { return std::ranges::count(entry.model_types, type) > 0; });
  return found == std::end(kClasses) ? nullptr : &*found;
}

bool mentions_byte_level(const Json& component) {
  if (component.is_object() && component.value("type", "") == "ByteLevel") return true;
  return component.is_structured() && std::ranges::any_of(component, mentions_byte_level);
}

Json byte_level(bool add_prefix_space, bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json metaspace(const char* prepend_scheme, bool split) {
  return {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", prepend_scheme}, {"split", split}};
}

Json replace(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json sequence(const char* list, std::initializer_list<Json> parts) {
  Json json{{"type", "Sequence"}, {list, Json::array()}};
  for (const Json& part : parts) json[list].push_back(part);
  return json;
}

// Returns the precompiled charsmap among the normalizers, or null.
Json find_charsmap(const Json& normalizer) {
  if (!normalizer.is_object()) return nullptr;
  if (normalizer.value("type", "") == "Precompiled") return normalizer;
  if (!normalizer.contains("normalizers")) return nullptr;
  for (const Json& part : normalizer.at("normalizers")) {
    if (Json found = find_charsmap(part); !found.is_null()) return found;
  }
  return nullptr;
}

void build_t5(TokenizerDefinition& definition) {
  if (definition.sentencepiece_rules) return;  // its own components are complete
  definition.normalizer = find_charsmap(definition.normalizer);
  definition.pre_tokenizer = sequence("pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace("always", true)});
  definition.decoder = metaspace("always", true);
  definition.model_options = {{"type", "Unigram"}, {"unk_id", 2}, {"byte_fallback", false}};
}

void build_llama(const Json& config, TokenizerDefinition& definition) {
  const Json prefix = config.value("add_prefix_space", Json());
  const bool add_prefix_space = !prefix.is_boolean() || prefix.get<bool>();
  const Json legacy = config.value("legacy", Json());
  const bool is_legacy = legacy.is_boolean() && legacy.get<bool>();
  // An explicit null means not legacy, as in transformers.
  const char* scheme = !add_prefix_space ? "never" : (is_legacy ? "always" : "first");
  definition.normalizer = nullptr;
  definition.pre_tokenizer = metaspace(scheme, false);
  definition.decoder = sequence("decoders", {replace("▁", " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (add_prefix_space) {
    definition.decoder["decoders"].push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  definition.model_options = {{"type", "BPE"}, {"fuse_unk", true}, {"byte_fallback", true}};
}

void build_gemma(const TokenizerFolderSettings& settings, TokenizerDefinition& definition) {
  definition.normalizer = replace(" ", "▁");
  definition.pre_tokenizer = {
      {"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}};
  definition.decoder = sequence("decoders", {replace("▁", " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  definition.model_options = {{"type", "BPE"},
                              {"unk_token", settings.special.unk.value_or("<unk>")},
                              {"fuse_unk", true},
                              {"byte_fallback", true}};
}

void build_byte_level(bool add_prefix_space, TokenizerDefinition& definition) {
  definition.normalizer = nullptr;
  definition.pre_tokenizer = byte_level(add_prefix_space, true);
  definition.decoder = byte_level(true, true);
  definition.model_options = {{"type", "BPE"}};
}

void build_qwen2(bool add_prefix_space, TokenizerDefinition& definition) {
  constexpr const char* kPattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  build_byte_level(add_prefix_space, definition);
  definition.normalizer = {{"type", "NFC"}};
  definition.pre_tokenizer =
      sequence("pretokenizers",
               {{{"type", "Split"}, {"pattern", {{"Regex", kPattern}}}, {"behavior", "Isolated"}, {"invert", false}},
                byte_level(add_prefix_space, false)});
}

// Returns whether the class can be built from the model. If not, tokenizer.json is used unchanged.
bool fits(TokenizerClass tokenizer_class, const TokenizerDefinition& definition) {
  if (tokenizer_class == TokenizerClass::kT5) return definition.model_type() == "Unigram";
  if (definition.model_type() != "BPE") return false;
  // Llama 3's folders name the class of Llama, too; transformers then uses tokenizer.json unchanged.
  return tokenizer_class != TokenizerClass::kLlama ||
         std::ranges::none_of(std::initializer_list<const Json*>{&definition.normalizer, &definition.pre_tokenizer,
                                                                 &definition.post_processor, &definition.decoder},
                              [](const Json* component) { return mentions_byte_level(*component); });
}

void build_byt5(const TokenizerFolderSettings& settings, TokenizerDefinition& definition) {
  definition.model_options = {{"type", kByteModelType}};
  definition.decoder = {{"type", kByteModelType}};
  // The three special tokens have the first ids, whatever their names.
  const auto stripped = [](const std::optional<std::string>& text, const char* usual, TokenId id) {
    return AddedToken{.content = text.value_or(usual), .id = id, .special = true, .lstrip = true, .rstrip = true};
  };
  definition.added_tokens = {stripped(settings.special.pad, "<pad>", 0), stripped(settings.special.eos, "</s>", 1),
                             stripped(settings.special.unk, "<unk>", 2)};
  // Behind the bytes come the other special tokens that the folder names, then the extra ids.
  constexpr std::uint32_t kDefaultExtraIds = 125;
  TokenId next_id = 3 + 256;
  const auto add_next = [&](const std::string& content) {
    if (content.empty() || std::ranges::count(definition.added_tokens, content, &AddedToken::content) > 0) return;
    definition.added_tokens.push_back({.content = content, .id = next_id++, .special = true});
  };
  const SpecialTokenTexts& special = settings.special;
  for (const auto* text : {&special.bos, &special.sep, &special.cls, &special.mask}) add_next(text->value_or(""));
  const std::uint32_t extra_ids = read_extra_ids(settings.config, kDefaultExtraIds);
  for (std::uint32_t i = 0; i < extra_ids; ++i) add_next(fmt::format("<extra_id_{}>", i));
}

}  // namespace

std::optional<TokenizerClass> find_tokenizer_class(const fs::path& folder, const Json& tokenizer_config) {
  const Json config =
      fs::exists(folder / "config.json") ? core::read_json_file(folder / "config.json") : Json::object();
  const auto text = [](const Json& json, const char* key) -> std::string {
    return json.is_object() && json.contains(key) && json.at(key).is_string() ? json.at(key).get<std::string>() : "";
  };
  std::string named = text(tokenizer_config, "tokenizer_class");
  if (named.empty()) named = text(config, "tokenizer_class");
  const std::string model_type = text(config, "model_type");
  const ClassEntry* registered = find_by_model_type(model_type);
  if (!named.empty() && std::ranges::count(kWronglyNamed, model_type) > 0) return registered->tokenizer_class;
  if (!model_type.empty() && std::ranges::count(kGenericModelTypes, model_type) > 0) return TokenizerClass::kGeneric;
  if (!named.empty()) {
    const ClassEntry* entry = find_by_name(named);
    return entry == nullptr ? TokenizerClass::kGeneric : entry->tokenizer_class;
  }
  return registered == nullptr ? std::nullopt : std::optional(registered->tokenizer_class);
}

const char* name_of(TokenizerClass tokenizer_class) {
  const ClassEntry* entry = find_entry(tokenizer_class);
  return entry == nullptr ? "PreTrainedTokenizerFast" : entry->name;
}

SpecialTokenTexts default_special_tokens(TokenizerClass tokenizer_class) {
  const ClassEntry* entry = find_entry(tokenizer_class);
  return entry == nullptr ? SpecialTokenTexts{} : entry->special;
}

TokenizerClass apply_tokenizer_class(TokenizerClass tokenizer_class, const TokenizerFolderSettings& settings,
                                     TokenizerDefinition& definition) {
  if (tokenizer_class == TokenizerClass::kByT5) {
    build_byt5(settings, definition);
    return tokenizer_class;
  }
  if (tokenizer_class == TokenizerClass::kGeneric || !fits(tokenizer_class, definition))
    return TokenizerClass::kGeneric;
  const Json prefix = settings.config.value("add_prefix_space", Json());
  const bool add_prefix_space = prefix.is_boolean() && prefix.get<bool>();
  switch (tokenizer_class) {
    case TokenizerClass::kGeneric:
    case TokenizerClass::kByT5:
      break;
    case TokenizerClass::kT5:
      build_t5(definition);
      break;
    case TokenizerClass::kLlama:
      build_llama(settings.config, definition);
      break;
    case TokenizerClass::kGemma:
      build_gemma(settings, definition);
      break;
    case TokenizerClass::kGpt2:
    case TokenizerClass::kRoberta:
      build_byte_level(add_prefix_space, definition);
      break;
    case TokenizerClass::kGptNeoX:
      build_byte_level(add_prefix_space, definition);
      definition.normalizer = {{"type", "NFC"}};
      definition.post_processor = nullptr;
      break;
    case TokenizerClass::kQwen2:
      build_qwen2(add_prefix_space, definition);
      break;
  }
  return tokenizer_class;
}

}  // namespace lockstep::text
