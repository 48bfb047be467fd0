#include "text/components/normalizer.h"

#include <fmt/format.h>
#include <functional>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/text/components/text_pattern.h"
#include "text/components/charsmap.h"
#include "text/formats/base64.h"
#include "text/models/byte_alphabet.h"
#include "text/unicode/character_class.h"
#include "text/unicode/legacy_unicode.h"
#include "text/unicode/unicode_normalizer.h"

namespace lockstep::text {
namespace {

bool is_space_at(std::string_view text, std::size_t position) {
  return character_class(code_point_at(text, position)) == CharacterClass::kSpace;
}

// Replaces every character by what `map` returns for it, or removes it if that is none.
template <typename Map>
void map_characters(NormalizedText& normalized, const Map& map) {
  std::string result;
  for (std::size_t position = 0; position < normalized.text.size();) {
    const bool is_first = position == 0;
    const std::optional<char32_t> character = map(next_code_point(normalized.text, position));
    if (character) append_utf8(*character, result);
    if (is_first && !character) normalized.origin_end = 0;
  }
  normalized.text = std::move(result);
}

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const Normalizer>> parts) : parts_(std::move(parts)) {}
  void apply(NormalizedText& normalized) const override {
    for (const auto& part : parts_) {
      part->apply(normalized);
      check_growth(normalized.text.size(), normalized.largest);
    }
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> parts_;
};

class Lowercase final : public Normalizer {
 public:
  void apply(NormalizedText& normalized) const override { lowercase(normalized.text); }
};

class StripAccents final : public Normalizer {
 public:
  void apply(NormalizedText& normalized) const override {
    if (is_ascii(normalized.text)) return;
    map_characters(normalized, [](char32_t c) { return is_legacy_mark(c) ? std::nullopt : std::optional(c); });
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void apply(NormalizedText& normalized) const override {
    std::string& text = normalized.text;
    std::size_t end = text.size();
    while (right_ && end > 0 && is_space_at(text, previous_character(text, end))) end = previous_character(text, end);
    text.resize(end);
    std::size_t begin = 0;
    while (left_ && begin < text.size() && is_space_at(text, begin)) next_code_point(text, begin);
    if (begin > 0) normalized.origin_end = 0;
    text.erase(0, begin);
  }

 private:
  bool left_, right_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(NormalizedText& normalized) const override {
    if (normalized.text.empty()) return;
    normalized.text.insert(0, prefix_);
    if (normalized.origin_end > 0) normalized.origin_end += prefix_.size();
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(std::unique_ptr<const TextPattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(NormalizedText& normalized) const override {
    const std::string& text = normalized.text;
    std::string result;
    std::size_t done = 0;
    bool found = false;
    for_each_match(*pattern_, text, [&](const TextRange& match) {
      if (match.begin == 0 && match.end > 0 && content_.empty()) normalized.origin_end = 0;
      result.append(text, done, match.begin - done);
      result += content_;
      check_growth(result.size(), normalized.largest);
      done = match.end;
      found = true;
    });
    if (!found) return;
    result.append(text, done);
    normalized.text = std::move(result);
  }

 private:
  std::unique_ptr<const TextPattern> pattern_;
  std::string content_;
};

class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(std::string_view charsmap) : charsmap_(charsmap, Charsmap::Matching::kClusters) {}

  void apply(NormalizedText& normalized) const override {
    if (charsmap_.leaves(normalized.text)) return;
    std::string result;
    result.reserve(normalized.text.size());
    charsmap_.apply(normalized.text, result, normalized.largest);
    normalized.text = std::move(result);
  }

 private:
  Charsmap charsmap_;
};

class ByteLevel final : public Normalizer {
 public:
  void apply(NormalizedText& normalized) const override {
    std::string result;
    append_in_byte_alphabet(normalized.text, result);
    normalized.text = std::move(result);
  }
};

// Applies SentencePiece's "nmt" rules.
class Nmt final : public Normalizer {
 public:
  void apply(NormalizedText& normalized) const override {
    map_characters(normalized, [](char32_t c) -> std::optional<char32_t> {
      if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) {
        return std::nullopt;
      }
      const bool is_blank = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                            (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
                            c == 0xFFFD;
      return is_blank ? U' ' : c;
    });
  }
};

class BertNormalizer final : public Normalizer {
 public:
  struct Options {
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
  };
  explicit BertNormalizer(Options options) : options_(options), nfd_(make_unicode_normalizer(UnicodeForm::kNfd)) {}

  void apply(NormalizedText& normalized) const override {
    if (options_.clean_text) clean(normalized);
    if (options_.handle_chinese_chars) add_spaces_around_chinese(normalized);
    if (options_.strip_accents) {
      nfd_->apply(normalized);
      map_characters(normalized,
                     [](char32_t c) { return is_legacy_nonspacing_mark(c) ? std::nullopt : std::optional(c); });
    }
    if (options_.lowercase) lowercase(normalized.text);
  }

 private:
  static void clean(NormalizedText& normalized) {
    map_characters(normalized, [](char32_t c) -> std::optional<char32_t> {
      if (c == '\t' || c == '\n' || c == '\r') return U' ';
      if (c == 0 || c == 0xFFFD || is_legacy_control(c)) return std::nullopt;
      return character_class(c) == CharacterClass::kSpace ? U' ' : c;
    });
  }

  static bool is_chinese(char32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
  }

  static void add_spaces_around_chinese(NormalizedText& normalized) {
    if (is_ascii(normalized.text)) return;
    std::string result;
    for (std::size_t position = 0; position < normalized.text.size();) {
      const char32_t c = next_code_point(normalized.text, position);
      if (is_chinese(c)) result += ' ';
      append_utf8(c, result);
      if (is_chinese(c)) result += ' ';
    }
    normalized.text = std::move(result);
  }

  Options options_;
  std::unique_ptr<const Normalizer> nfd_;
};

std::unique_ptr<const Normalizer> make_sequence(const Json& json) {
  std::vector<std::unique_ptr<const Normalizer>> parts;
  for (const Json& part : json.at("normalizers")) parts.push_back(make_normalizer(part));
  return std::make_unique<Sequence>(std::move(parts));
}

std::unique_ptr<const Normalizer> make_bert_normalizer(const Json& json) {
  const bool lower = json.value("lowercase", true);
  const Json strip = json.value("strip_accents", Json());
  return std::make_unique<BertNormalizer>(BertNormalizer::Options{
      .clean_text = json.value("clean_text", true),
      .handle_chinese_chars = json.value("handle_chinese_chars", true),
      .strip_accents = strip.is_boolean() ? strip.get<bool>() : lower,
      .lowercase = lower,
  });
}

using Maker = std::function<std::unique_ptr<const Normalizer>(const Json&)>;

const std::map<std::string, Maker, std::less<>>& makers() {
  const auto unicode = [](UnicodeForm form) { return [form](const Json&) { return make_unicode_normalizer(form); }; };
  static const std::map<std::string, Maker, std::less<>> makers{
      {"Sequence", make_sequence},
      {"NFC", unicode(UnicodeForm::kNfc)},
      {"NFD", unicode(UnicodeForm::kNfd)},
      {"NFKC", unicode(UnicodeForm::kNfkc)},
      {"NFKD", unicode(UnicodeForm::kNfkd)},
      {"Lowercase", [](const Json&) { return std::make_unique<Lowercase>(); }},
      {"StripAccents", [](const Json&) { return std::make_unique<StripAccents>(); }},
      {"Strip",
       [](const Json& json) {
         return std::make_unique<Strip>(json.at("strip_left").get<bool>(), json.at("strip_right").get<bool>());
       }},
      {"Prepend", [](const Json& json) { return std::make_unique<Prepend>(json.at("prepend").get<std::string>()); }},
      {"Replace",
       [](const Json& json) {
         return std::make_unique<Replace>(make_text_pattern(json.at("pattern")), json.at("content").get<std::string>());
       }},
      {"Precompiled",
       [](const Json& json) {
         return std::make_unique<Precompiled>(decode_base64(json.at("precompiled_charsmap").get<std::string>()));
       }},
      {"ByteLevel", [](const Json&) { return std::make_unique<ByteLevel>(); }},
      {"Nmt", [](const Json&) { return std::make_unique<Nmt>(); }},
      {"BertNormalizer", make_bert_normalizer},
  };
  return makers;
}

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const Json& json) {
  if (json.is_null()) return nullptr;
  const std::string type = json.is_object() ? json.value("type", "") : json.dump();
  const auto maker = makers().find(type);
  if (maker == makers().end()) throw InputError(fmt::format("the normalizer '{}' is not supported", type));
  return maker->second(json);
}

}  // namespace lockstep::text
