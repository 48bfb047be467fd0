#include "text/formats/tokenizer_files.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/digest.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::text {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfigFile = "tokenizer_config.json";
constexpr std::string_view kFiles[] = {
    "spiece.model",      "tokenizer.model",         "tokenizer.json", "vocab.json",         "merges.txt",
    "added_tokens.json", "special_tokens_map.json", kConfigFile,      "chat_template.jinja"};

}  // namespace

std::span<const std::string_view> tokenizer_file_names() { return kFiles; }

bool has_tokenizer_files(const fs::path& folder) {
  return std::ranges::any_of(kFiles, [&](std::string_view name) { return fs::exists(folder / name); });
}

std::vector<TokenizerFile> collect_tokenizer_files(const fs::path& folder, const Json& config,
                                                   const char* tokenizer_class,
                                                   const std::optional<std::string>& missing_pad) {
  std::vector<TokenizerFile> files;
  for (const std::string_view name : kFiles) {
    const bool is_config = name == kConfigFile;
    const bool exists = fs::exists(folder / name);
    if (!exists && !is_config) continue;
    TokenizerFile file{std::string(name), exists ? core::read_file(folder / name) : ""};
    if (is_config && (missing_pad || !exists)) {
      Json rewritten = config;
      if (!rewritten.contains("tokenizer_class")) rewritten["tokenizer_class"] = tokenizer_class;
      if (missing_pad) rewritten["pad_token"] = *missing_pad;
      file.bytes = rewritten.dump(2, ' ', false) + "\n";
    }
    files.push_back(std::move(file));
  }
  return files;
}

std::string digest_of(const std::vector<TokenizerFile>& files) {
  core::Sha256 digest;
  for (const TokenizerFile& file : files) {
    digest.update(fmt::format("{} {}\n", file.name, file.bytes.size()));
    digest.update(file.bytes);
  }
  return digest.hex_digest();
}

}  // namespace lockstep::text
