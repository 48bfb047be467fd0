#include "text/unicode/unicode_normalizer.h"

#include <fmt/format.h>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include "lockstep/core/error.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

void check(UErrorCode status, const char* what) {
  if (U_FAILURE(status)) throw Error(fmt::format("ICU: {}: {}", what, u_errorName(status)));
}

const icu::UnicodeSet& characters_of_unicode_9() {
  static const icu::UnicodeSet characters = [] {
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeSet set(icu::UnicodeString::fromUTF8("[:Age=9.0:]"), status);
    check(status, "the characters of Unicode 9");
    set.freeze();
    return set;
  }();
  return characters;
}

const icu::Normalizer2& current_tables(UnicodeForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* tables = nullptr;
  switch (form) {
    case UnicodeForm::kNfc:
      tables = icu::Normalizer2::getNFCInstance(status);
      break;
    case UnicodeForm::kNfd:
      tables = icu::Normalizer2::getNFDInstance(status);
      break;
    case UnicodeForm::kNfkc:
      tables = icu::Normalizer2::getNFKCInstance(status);
      break;
    case UnicodeForm::kNfkd:
      tables = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  check(status, "a normalization form");
  return *tables;
}

class UnicodeNormalizer final : public Normalizer {
 public:
  // The filter makes every character that Unicode 9 lacked inert: a starter that composes with nothing.
  explicit UnicodeNormalizer(UnicodeForm form) : tables_(current_tables(form), characters_of_unicode_9()) {}

  void apply(NormalizedText& normalized) const override {
    if (is_ascii(normalized.text)) return;
    std::string result;
    icu::StringByteSink<std::string> sink(&result, static_cast<std::int32_t>(normalized.text.size()));
    UErrorCode status = U_ZERO_ERROR;
    tables_.normalizeUTF8(0, normalized.text, sink, nullptr, status);
    check(status, "normalization");
    normalized.text = std::move(result);
  }

 private:
  icu::FilteredNormalizer2 tables_;
};

// Lower-cases capitals of Unicode 16 and 17, which Debian's ICU 72 lacks.
char32_t lower_of_newer(char32_t c) {
  switch (c) {
    case 0xA7CB:
      return 0x264;
    case 0xA7DC:
      return 0x19B;
    case 0x1C89:
    case 0xA7CC:
    case 0xA7CE:
    case 0xA7D2:
    case 0xA7D4:
    case 0xA7DA:
      return c + 1;
    default:
      if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;
      if (c >= 0x16EA0 && c <= 0x16EB8) return c + 0x1B;
      return c;
  }
}

char32_t lower(char32_t c) {
  const auto known = static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
  return known == c ? lower_of_newer(c) : known;
}

}  // namespace

std::unique_ptr<const Normalizer> make_unicode_normalizer(UnicodeForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}

void lowercase(std::string& text) {
  if (is_ascii(text)) {
    for (char& byte : text) {
      if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte | 0x20);
    }
    return;
  }
  constexpr char32_t kCapitalIWithDot = 0x130;  // the only character whose lower case is two characters
  std::string result;
  for (std::size_t position = 0; position < text.size();) {
    const char32_t c = next_code_point(text, position);
    if (c == kCapitalIWithDot) {
      result += "i\xCC\x87";
    } else {
      append_utf8(lower(c), result);
    }
  }
  text = std::move(result);
}

}  // namespace lockstep::text
