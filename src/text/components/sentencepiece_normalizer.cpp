#include "text/components/sentencepiece_normalizer.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "text/components/charsmap.h"
#include "text/components/metaspace.h"
#include "text/formats/base64.h"

namespace lockstep::text {
namespace {

class SentencePieceNormalizer final : public Normalizer {
 public:
  explicit SentencePieceNormalizer(std::optional<Charsmap> rules) : rules_(std::move(rules)) {}

  void apply(NormalizedText& normalized) const override {
    if (rules_ && !rules_->leaves(normalized.text)) {
      std::string replaced;
      replaced.reserve(normalized.text.size());
      rules_->apply(normalized.text, replaced, normalized.largest);
      normalized.text = std::move(replaced);
    }
    normalized.text = mark_words(normalized.text);
    normalized.origin_end = 0;
  }

 private:
  static std::string mark_words(std::string_view text) {
    std::string marked;
    marked.reserve(text.size() + text.size() / 2);
    bool after_space = true;
    for (const char byte : text) {
      if (byte == ' ') {
        after_space = true;
        continue;
      }
      if (after_space) marked += kMetaspace;
      after_space = false;
      marked += byte;
    }
    while (marked.ends_with(kMetaspace)) marked.resize(marked.size() - kMetaspace.size());
    return marked;
  }

  std::optional<Charsmap> rules_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_sentencepiece_normalizer(const Json& precompiled) {
  std::optional<Charsmap> rules;
  if (precompiled.is_object()) {
    rules.emplace(decode_base64(precompiled.at("precompiled_charsmap").get<std::string>()),
                  Charsmap::Matching::kLongest);
  }
  return std::make_unique<SentencePieceNormalizer>(std::move(rules));
}

}  // namespace lockstep::text
