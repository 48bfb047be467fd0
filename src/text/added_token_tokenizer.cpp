#include "added_token_tokenizer.h"

#include <fmt/format.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "tokenizer_config.json";
constexpr const char* kFiles[] = {"spiece.model",      "tokenizer.json",          "vocab.json", "merges.txt",
                                  "added_tokens.json", "special_tokens_map.json", kConfigFile,  "chat_template.jinja"};

}  // namespace

void AddedTokenTokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  if (const auto offset = find_invalid_utf8(text)) {
    throw InputError(fmt::format("expected UTF-8 text, found the byte 0x{:02x} at offset {}; convert the text to UTF-8",
                                 static_cast<unsigned char>(text[*offset]), *offset));
  }
  added_tokens_.split(
      text, [&](std::string_view stretch) { encode_text(stretch, ids); },
      [&](const AddedToken& token) { ids.push_back(token.id); });
}

std::string AddedTokenTokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const TokenId id : ids) {
    if (const AddedToken* added = added_tokens_.find(id)) {
      if (!skip_special_tokens || !added->special) tokens.push_back(added->content);
    } else if (auto token = model_token(id)) {
      tokens.push_back(std::move(*token));
    }
  }
  return join(tokens);
}

std::string AddedTokenTokenizer::token(TokenId id) const {
  if (const AddedToken* added = added_tokens_.find(id)) return added->content;
  if (auto token = model_token(id)) return std::move(*token);
  throw Error(fmt::format("token id {} is not in the vocabulary", id));
}

Tokenizer::Settings AddedTokenTokenizer::make_settings(const fs::path& folder,
                                                       const TokenizerFolderSettings& folder_settings,
                                                       const Defaults& defaults, const IdOf& id_of,
                                                       AddedTokens& added_tokens) {
  for (const AddedToken& token : folder_settings.added_tokens) added_tokens.add(token);
  const auto add_special = [&](const std::string& content) {
    const AddedToken* known = added_tokens.find(content);
    AddedToken token = known ? *known : AddedToken{.content = content};
    if (!known) {
      const auto id = id_of(content);
      if (!id) {
        throw InputError(fmt::format("{}: the special token '{}' is not in the vocabulary", folder.string(), content));
      }
      token.id = *id;
    }
    token.special = true;
    added_tokens.add(token);
    return token.id;
  };
  const auto special = [&](const std::optional<std::string>& text, const std::optional<std::string>& fallback) {
    const auto& chosen = text ? text : fallback;
    return chosen ? std::optional(add_special(*chosen)) : std::nullopt;
  };

  Settings settings;
  settings.bos = special(folder_settings.bos, defaults.bos);
  settings.eos = special(folder_settings.eos, defaults.eos);
  settings.pad = special(folder_settings.pad, defaults.pad);
  special(folder_settings.unk, std::nullopt);
  for (const std::string& token : folder_settings.additional_special_tokens) add_special(token);
  settings.model_max_length = folder_settings.model_max_length;
  if (!settings.eos)
    throw InputError(folder.string() + ": the tokenizer has no eos_token; name one in tokenizer_config.json");

  // A model needs a padding token; transformers pads with EOS where none is defined only if the saved folder says so.
  const bool lacks_pad = !settings.pad.has_value();
  if (lacks_pad) settings.pad = settings.eos;
  Sha256 digest;
  for (const char* name : kFiles) {
    const bool is_config = std::string_view(name) == kConfigFile;
    const bool exists = fs::exists(folder / name);
    if (!exists && !is_config) continue;
    File file{name, exists ? read_file(folder / name) : ""};
    if (is_config && (lacks_pad || !exists)) {
      Json config = folder_settings.config;
      if (!config.contains("tokenizer_class")) config["tokenizer_class"] = defaults.tokenizer_class;
      if (lacks_pad) config["pad_token"] = added_tokens.find(*settings.eos)->content;
      file.bytes = config.dump(2, ' ', false) + "\n";
    }
    digest.update(fmt::format("{} {}\n", file.name, file.bytes.size()));
    digest.update(file.bytes);
    settings.files.push_back(std::move(file));
  }
  settings.digest = digest.hex_digest();
  return settings;
}

}  // namespace lockstep
