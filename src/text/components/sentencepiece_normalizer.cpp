#include "text/components/sentencepiece_normalizer.h"

#include <fmt/format.h>
#include <optional>
#include <utility>

#include "lockstep/core/error.h"
#include "text/components/charsmap.h"
#include "text/components/metaspace.h"
#include "text/formats/base64.h"
#include "text/models/byte_trie.h"

namespace lockstep::text {
namespace {

constexpr std::string_view kTwoSpaces = "  ";

class SentencePieceNormalizer final : public Normalizer {
 public:
  SentencePieceNormalizer(Charsmap charsmap, const std::vector<std::string>& symbols)
      : charsmap_(std::move(charsmap)), has_symbols_(!symbols.empty()) {
    std::vector<std::pair<std::string_view, std::int32_t>> strings;
    for (const std::string& symbol : symbols) strings.emplace_back(symbol, 0);
    symbols_ = ByteTrie(std::move(strings));
  }

  void apply(NormalizedText& normalized) const override {
    normalized.origin_end = 0;
    if (charsmap_.leaves(normalized.text)) return;
    std::string replaced;
    replaced.reserve(normalized.text.size());
    if (has_symbols_) {
      apply_around_symbols(normalized, replaced);
    } else {
      charsmap_.apply(normalized.text, replaced, normalized.largest);
    }
    normalized.text = std::move(replaced);
  }

 private:
  void apply_around_symbols(const NormalizedText& normalized, std::string& out) const {
    for (std::string_view rest = normalized.text; !rest.empty();) {
      if (const std::size_t symbol = symbol_bytes(rest); symbol > 0) {
        out += rest.substr(0, symbol);
        rest.remove_prefix(symbol);
      } else {
        rest.remove_prefix(charsmap_.apply_longest(rest, out));
      }
      check_growth(out.size(), normalized.largest);
    }
  }

  // Returns the size of the longest symbol with which `text` begins, or 0.
  std::size_t symbol_bytes(std::string_view text) const {
    std::size_t longest = 0;
    const ByteTrie::Node* node = symbols_.root();
    for (std::size_t end = 0; end < text.size();) {
      node = symbols_.step(node, text[end++]);
      if (node == nullptr) break;
      if (node->value != ByteTrie::kNoValue) longest = end;
    }
    return longest;
  }

  Charsmap charsmap_;
  ByteTrie symbols_;
  bool has_symbols_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_sentencepiece_normalizer(const Json& precompiled,
                                                                const SentencePieceRules& rules) {
  for (const std::string& symbol : rules.user_defined_symbols) {
    if (rules.remove_extra_whitespaces && symbol.find(kTwoSpaces) != std::string::npos) {
      throw InputError(
          fmt::format("user_defined_symbols: \"{}\" has consecutive spaces, which is not supported together with "
                      "remove_extra_whitespaces; save the tokenizer with transformers, which writes tokenizer.json",
                      symbol));
    }
  }
  if (!precompiled.is_object()) return nullptr;
  Charsmap charsmap(decode_base64(precompiled.at("precompiled_charsmap").get<std::string>()),
                    Charsmap::Matching::kLongest);
  if (rules.remove_extra_whitespaces && charsmap.replacements().find(kTwoSpaces) != std::string_view::npos) {
    throw InputError(
        "precompiled_charsmap: a rule replaces a text by consecutive spaces, which is not supported together with "
        "remove_extra_whitespaces; save the tokenizer with transformers, which writes tokenizer.json");
  }
  return std::make_unique<SentencePieceNormalizer>(std::move(charsmap), rules.user_defined_symbols);
}

void BlankMarker::apply(std::string_view text, std::string& marked) const {
  marked.clear();
  if (remove_extra_whitespaces_) {
    text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
    if (text.empty()) return;
  }
  marked.reserve(text.size() + text.size() / 2);
  if (add_dummy_prefix_) marked += kMetaspace;
  bool skips_space = false;
  for (const char byte : text) {
    if (byte != ' ') {
      marked += byte;
      skips_space = false;
    } else if (!skips_space) {
      marked += kMetaspace;
      skips_space = remove_extra_whitespaces_;
    }
  }
  while (remove_extra_whitespaces_ && marked.ends_with(kMetaspace)) marked.resize(marked.size() - kMetaspace.size());
}

}  // namespace lockstep::text
