#include "tokenizer_round_trip.h"

#include <string>
#include <vector>

#include "fuzz_input.h"
#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::fuzz {
namespace {

const std::vector<std::string>& hostile_texts() {
  static const std::vector<std::string> texts{
      "",
      "Hello, world! It's 3.14 o'clock\r\n\tnow...  </s> <extra_id_0> <0x41>",
      "e\u0301\u0327 \uFB01 \u2126 \u01C5 \u1E9B\u0323 \u0130 \u00DF \uFF21 \u3000\u00A0\u2003x",
      "\u4E2D\u6587\uD55C\uAD6D\u0E01\u0E33 \U0001F468\u200D\U0001F469\u200D\U0001F467 \U0001F1E9\U0001F1EA",
      "\u2581\u2581a \u2581 ##b@@ \u0120c \uFEFF\u200B\u202E\uFFFD\uFFFF",
      std::string("\0\x01\x7F \0", 5),
      std::string(1000, 'a'),
      "bad \xFF\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80 bytes \xE2\x82"};
  return texts;
}

void round_trip(const Tokenizer& tokenizer, std::string_view text) {
  try {
    const std::vector<TokenId> ids = tokenizer.encode(text);
    require(!core::find_invalid_utf8(text), "text that is not UTF-8 is refused");
    require(tokenizer.encode(text) == ids, "a word gives the same ids when it comes from the cache");
    for (const bool skip_special_tokens : {true, false}) tokenizer.decode(ids, skip_special_tokens);
    for (const TokenId id : ids) tokenizer.token(id);
  } catch (const Error&) {
  }
}

}  // namespace

void try_tokenizer(const std::filesystem::path& folder, std::string_view text) {
  try {
    const auto tokenizer = load_tokenizer(folder);
    round_trip(*tokenizer, text);
    for (const std::string& hostile : hostile_texts()) round_trip(*tokenizer, hostile);
    const std::vector<TokenId> ids{0, 1, 2, 3, 255, 0x7FFFFFFF, 0xFFFFFFFF};
    tokenizer->decode(ids);
  } catch (const Error&) {
  }
}

}  // namespace lockstep::fuzz
