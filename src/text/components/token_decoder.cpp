#include "text/components/token_decoder.h"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"
#include "lockstep/text/components/text_pattern.h"
#include "text/models/byte_alphabet.h"
#include "text/models/byte_model.h"
#include "text/output_limit.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::size_t found = from.empty() ? std::string::npos : text.find(from);
  if (found == std::string::npos) return;
  std::string result;
  std::size_t done = 0;
  for (; found != std::string::npos; found = text.find(from, done)) {
    result.append(text, done, found - done);
    result += to;
    done = found + from.size();
  }
  text = result.append(text, done);
}

std::size_t bytes_of(const std::vector<std::string>& tokens) {
  std::size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  return bytes;
}

class Sequence final : public TokenDecoder {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const TokenDecoder>> parts) : parts_(std::move(parts)) {}
  void apply(std::vector<std::string>& tokens) const override {
    const std::size_t largest = max_output_bytes(bytes_of(tokens));
    for (const auto& part : parts_) {
      part->apply(tokens);
      check_growth(bytes_of(tokens), largest);
    }
  }

 private:
  std::vector<std::unique_ptr<const TokenDecoder>> parts_;
};

class ByteLevel final : public TokenDecoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) append_from_byte_alphabet(token, bytes);
    tokens = {core::replace_invalid_utf8(bytes)};
  }
};

class Metaspace final : public TokenDecoder {
 public:
  Metaspace(std::string replacement, bool drops_first) : replacement_(std::move(replacement)), drops_(drops_first) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], replacement_, i == 0 && drops_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool drops_;  // removes the blank at the start of the text, which the pre-tokenizer added
};

class Replace final : public TokenDecoder {
 public:
  Replace(std::unique_ptr<const TextPattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(std::vector<std::string>& tokens) const override {
    const std::size_t largest = max_output_bytes(bytes_of(tokens));
    std::size_t bytes = 0;
    for (std::string& token : tokens) {
      std::string result;
      std::size_t done = 0;
      if (token.empty()) continue;
      for_each_match(*pattern_, token, [&](const TextRange& match) {
        result.append(token, done, match.begin - done);
        result += content_;
        check_growth(bytes + result.size(), largest);
        done = match.end;
      });
      token = result.append(token, done);
      bytes += token.size();
    }
  }

 private:
  std::unique_ptr<const TextPattern> pattern_;
  std::string content_;
};

// Returns the byte of a token such as <0x41>.
std::optional<char> fallback_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned byte = 0;
  // Rust's from_str_radix accepts a plus sign.
  const char* begin = token.data() + (token[3] == '+' ? 4 : 3);
  const auto [end, error] = std::from_chars(begin, token.data() + 5, byte, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

class ByteFallback final : public TokenDecoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> result;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (core::find_invalid_utf8(bytes)) {
        result.insert(result.end(), bytes.size(), std::string(kReplacement));
      } else {
        result.push_back(bytes);
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = fallback_byte(token)) {
        bytes += *byte;
      } else {
        flush();
        result.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(result);
  }
};

class Fuse final : public TokenDecoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens = {std::move(all)};
  }
};

class Strip final : public TokenDecoder {
 public:
  Strip(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::size_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (std::size_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::size_t start_, stop_;
};

// Applies what BERT's and CTC's decoders call clean-up.
void clean_up(std::string& text) {
  static constexpr std::pair<const char*, const char*> kRules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

class WordPiece final : public TokenDecoder {
 public:
  WordPiece(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0) {
        if (tokens[i].starts_with(prefix_)) {
          tokens[i].erase(0, prefix_.size());
        } else {
          tokens[i] = fmt::format(" {}", tokens[i]);
        }
      }
      if (cleanup_) clean_up(tokens[i]);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class BpeDecoder final : public TokenDecoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

// Implements ByT5's decoder: tokens of one character below U+0100 are bytes, all others stand for themselves, and
// invalid UTF-8 is dropped.
class Latin1Bytes final : public TokenDecoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      std::size_t end = 0;
      const char32_t c = token.empty() ? 0 : next_code_point(token, end);
      if (end == token.size() && c < 0x100) {
        bytes += static_cast<char>(c);
      } else {
        bytes += token;
      }
    }
    tokens = {core::drop_invalid_utf8(bytes)};
  }
};

using Maker = std::function<std::unique_ptr<const TokenDecoder>(const Json&)>;

// Flattens nested sequences, so that the outermost one limits the growth of a text for all of them together.
void add_parts(const Json& json, std::vector<std::unique_ptr<const TokenDecoder>>& parts) {
  for (const Json& part : json.at("decoders")) {
    if (part.is_object() && part.value("type", "") == "Sequence") {
      add_parts(part, parts);
    } else {
      parts.push_back(make_token_decoder(part));
    }
  }
}

std::unique_ptr<const TokenDecoder> make_sequence(const Json& json) {
  std::vector<std::unique_ptr<const TokenDecoder>> parts;
  add_parts(json, parts);
  return std::make_unique<Sequence>(std::move(parts));
}

std::unique_ptr<const TokenDecoder> make_metaspace(const Json& json) {
  const bool never = json.value("prepend_scheme", "always") == "never" || !json.value("add_prefix_space", true);
  return std::make_unique<Metaspace>(read_character(json, "replacement"), !never);
}

const std::map<std::string, Maker, std::less<>>& makers() {
  static const std::map<std::string, Maker, std::less<>> makers{
      {"Sequence", make_sequence},
      {"ByteLevel", [](const Json&) { return std::make_unique<ByteLevel>(); }},
      {"Metaspace", make_metaspace},
      {"Replace",
       [](const Json& json) {
         return std::make_unique<Replace>(make_text_pattern(json.at("pattern")), json.at("content").get<std::string>());
       }},
      {"ByteFallback", [](const Json&) { return std::make_unique<ByteFallback>(); }},
      {"Fuse", [](const Json&) { return std::make_unique<Fuse>(); }},
      {"Strip",
       [](const Json& json) {
         return std::make_unique<Strip>(json.at("content").get<std::string>(), core::json_count(json.at("start")),
                                        core::json_count(json.at("stop")));
       }},
      {"WordPiece",
       [](const Json& json) {
         return std::make_unique<WordPiece>(json.value("prefix", "##"), json.value("cleanup", true));
       }},
      {std::string(kByteModelType), [](const Json&) { return std::make_unique<Latin1Bytes>(); }},
      {"BPEDecoder", [](const Json& json) { return std::make_unique<BpeDecoder>(json.value("suffix", "</w>")); }},
  };
  return makers;
}

}  // namespace

std::unique_ptr<const TokenDecoder> make_token_decoder(const Json& json) {
  if (json.is_null()) return nullptr;
  const std::string type = json.is_object() ? json.value("type", "") : json.dump();
  const auto maker = makers().find(type);
  if (maker == makers().end()) throw InputError(fmt::format("the decoder '{}' is not supported", type));
  return maker->second(json);
}

}  // namespace lockstep::text
