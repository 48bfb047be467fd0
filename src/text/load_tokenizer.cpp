#include "lockstep/text/load_tokenizer.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "text/components/post_processor.h"
#include "text/components/sentencepiece_normalizer.h"
#include "text/formats/sentencepiece_definition.h"
#include "text/formats/special_tokens.h"
#include "text/formats/tokenizer_class.h"
#include "text/formats/tokenizer_files.h"
#include "text/formats/tokenizer_json.h"
#include "text/formats/tokenizer_settings.h"
#include "text/pipeline_tokenizer.h"

namespace lockstep::text {
namespace {

namespace fs = std::filesystem;

// The tokenizer definition in a folder, and the class to apply to it.
struct Source {
  TokenizerDefinition definition;
  TokenizerClass tokenizer_class;
  bool has_tokenizer_json;
};

// Reads the first vocabulary file in AutoTokenizer's order, in which tokenizer.json comes first.
Source read_source(const fs::path& folder, const fs::path& config_folder, TokenizerFolderSettings& settings) {
  const auto has = [&](const char* name) { return fs::exists(folder / name); };
  const auto named = find_tokenizer_class(config_folder, settings.config);
  if (has("tokenizer.json")) {
    return {read_tokenizer_json(folder / "tokenizer.json"), named.value_or(TokenizerClass::kGeneric), true};
  }
  if (named == TokenizerClass::kByT5) return {{}, TokenizerClass::kByT5, false};
  for (const auto& [name, usual] :
       {std::pair{"spiece.model", TokenizerClass::kT5}, std::pair{"tokenizer.model", TokenizerClass::kLlama}}) {
    if (!has(name)) continue;
    const TokenizerClass chosen = named.value_or(usual);
    return {read_sentencepiece_model(folder / name, chosen, settings), chosen, false};
  }
  if (has("vocab.json") && has("merges.txt")) {
    return {read_vocab_and_merges(folder / "vocab.json", folder / "merges.txt"), named.value_or(TokenizerClass::kGpt2),
            false};
  }
  throw InputError(
      fmt::format("{}: no tokenizer: expected tokenizer.json, spiece.model, tokenizer.model, or vocab.json with "
                  "merges.txt",
                  folder.string()));
}

std::string text_of(TokenId id, const PipelineTokenizer::Components& components) {
  if (const AddedToken* added = components.added_tokens.find(id)) return added->content;
  if (const auto token = components.model->token(id)) return std::string(*token);
  throw InputError(
      fmt::format("a special token has the id {}, which no token of the vocabulary has; correct the "
                  "post_processor of tokenizer.json",
                  id));
}

// Throws InputError if transformers would give the token another id than its file does.
void check_id(const AddedToken& token, const char* origin, const PipelineTokenizer::Components& components) {
  const TokenId expected = next_id_for(token.content, *components.model, components.added_tokens);
  if (token.content.empty() || token.id == expected) return;
  throw InputError(
      fmt::format("{}: \"{}\": expected the id {} (that of the vocabulary, or the next free one), which transformers "
                  "gives the token, found {}; correct the id",
                  origin, token.content, expected, token.id));
}

// Throws InputError for settings that ids of ByT5 would depend on.
void check_byt5(const TokenizerFolderSettings& settings) {
  if (!settings.split_special_tokens) return;
  throw InputError("tokenizer_config.json: split_special_tokens: expected false for ByT5Tokenizer, found true");
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& folder) { return load_tokenizer(folder, folder); }

std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& folder, const fs::path& config_folder) {
  TokenizerFolderSettings settings = read_folder_settings(folder);
  Source source = read_source(folder, config_folder, settings);
  try {
    TokenizerDefinition& definition = source.definition;
    const TokenizerClass tokenizer_class = apply_tokenizer_class(source.tokenizer_class, settings, definition);
    if (tokenizer_class == TokenizerClass::kByT5) check_byt5(settings);
    const bool takes_padding = tokenizer_class == TokenizerClass::kGeneric || tokenizer_class == TokenizerClass::kLlama;
    if (takes_padding && !settings.special.pad) settings.special.pad = definition.padding_token;
    PipelineTokenizer::Components components;
    if (const auto& rules = definition.sentencepiece_rules) {
      components.normalizer = make_sentencepiece_normalizer(definition.normalizer, *rules);
      components.blank_marker.emplace(*rules);
    } else {
      components.normalizer = make_normalizer(definition.normalizer);
    }
    components.pre_tokenizers = make_pre_tokenizers(definition.pre_tokenizer);
    components.decoder = make_token_decoder(definition.decoder);
    components.model = make_model(definition);
    // transformers rebuilds a class without the added tokens of tokenizer.json if added_tokens_decoder lists all of
    // them.
    if (source.has_tokenizer_json && settings.lists_added_tokens && tokenizer_class != TokenizerClass::kGeneric &&
        tokenizer_class != TokenizerClass::kByT5) {
      definition.added_tokens.clear();
    }
    components.splits_special_tokens = settings.split_special_tokens;
    for (const AddedToken& token : definition.added_tokens) {
      if (source.has_tokenizer_json) check_id(token, "tokenizer.json: added_tokens", components);
      components.added_tokens.add(token);
    }
    for (const AddedToken& token : settings.added_tokens) {
      const bool renames = !source.has_tokenizer_json && token.id < components.model->size();
      if (!renames) check_id(token, "added_tokens_decoder or added_tokens.json", components);
      components.added_tokens.add(token);
    }
    SpecialTokens special =
        resolve_special_tokens(settings, tokenizer_class, *components.model, components.added_tokens);
    const SpecialTokensAround frame =
        resolve_frame(settings, tokenizer_class, special, definition.post_processor, source.has_tokenizer_json);
    for (const auto* side : {&frame.before, &frame.behind}) {
      for (const TokenId id : *side) text_of(id, components);
    }
    infer_special_tokens(frame, *components.model, components.added_tokens, special);
    PipelineTokenizer::Settings result;
    result.bos = special.bos;
    result.eos = special.eos;
    result.pad = special.pad ? special.pad : special.eos;
    result.ids_before = frame.before;
    result.ids_after = frame.behind;
    result.model_max_length = settings.model_max_length;
    std::optional<std::string> missing_pad;
    if (!special.pad && special.eos) {
      missing_pad = text_of(*special.eos, components);
    }
    result.files = collect_tokenizer_files(folder, settings.config, name_of(tokenizer_class), missing_pad);
    result.digest = digest_of(result.files);
    return std::make_shared<PipelineTokenizer>(std::move(result), std::move(components));
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{}: the tokenizer is not of the expected form: {}", folder.string(), error.what()));
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", folder.string(), error.what()));
  }
}

}  // namespace lockstep::text
