#include "text/components/pre_tokenizer.h"

#include <fmt/format.h>
#include <functional>

#include "lockstep/core/error.h"
#include "text/components/split_behavior.h"
#include "text/components/word_patterns.h"
#include "text/models/byte_alphabet.h"
#include "text/unicode/character_class.h"
#include "text/unicode/legacy_unicode.h"

namespace lockstep::text {
namespace {

using Steps = std::vector<std::unique_ptr<const PreTokenizer>>;

bool is_space(char32_t c) { return character_class(c) == CharacterClass::kSpace; }

// Splits each piece into segments and merges these according to the behavior.
class SegmentSplit : public PreTokenizer {
 public:
  explicit SegmentSplit(SplitBehavior behavior) : behavior_(behavior) {}

  void apply(Pieces& pieces) const final {
    thread_local std::vector<Segment> segments;
    thread_local std::vector<TextRange> merged;
    pieces.split([&](std::string_view text, const auto& emit) {
      segments.clear();
      find_segments(text, segments);
      merge_segments(behavior_, segments, merged);
      for (const TextRange& range : merged) emit(range.begin, range.end);
    });
  }

 protected:
  virtual void find_segments(std::string_view text, std::vector<Segment>& segments) const = 0;

 private:
  SplitBehavior behavior_;
};

class PatternSplit final : public SegmentSplit {
 public:
  PatternSplit(std::unique_ptr<const TextPattern> pattern, SplitBehavior behavior, bool invert)
      : SegmentSplit(behavior), pattern_(std::move(pattern)), invert_(invert) {}

 protected:
  void find_segments(std::string_view text, std::vector<Segment>& segments) const override {
    std::size_t done = 0;
    for_each_match(*pattern_, text, [&](const TextRange& match) {
      if (done != match.begin) segments.push_back({done, match.begin, invert_});
      segments.push_back({match.begin, match.end, !invert_});
      done = match.end;
    });
    if (done != text.size()) segments.push_back({done, text.size(), invert_});
  }

 private:
  std::unique_ptr<const TextPattern> pattern_;
  bool invert_;
};

// Splits at every character of a kind.
class CharacterSplit final : public SegmentSplit {
 public:
  CharacterSplit(std::function<bool(char32_t)> is_delimiter, SplitBehavior behavior)
      : SegmentSplit(behavior), is_delimiter_(std::move(is_delimiter)) {
    for (char32_t c = 0; c < 128; ++c) ascii_[c] = is_delimiter_(c);
  }

 protected:
  void find_segments(std::string_view text, std::vector<Segment>& segments) const override {
    std::size_t done = 0;
    for (std::size_t position = 0; position < text.size();) {
      const std::size_t begin = position;
      const char32_t c = next_code_point(text, position);
      if (!(c < 128 ? ascii_[c] : is_delimiter_(c))) continue;
      if (done != begin) segments.push_back({done, begin, false});
      segments.push_back({begin, position, true});
      done = position;
    }
    if (done != text.size()) segments.push_back({done, text.size(), false});
  }

 private:
  std::function<bool(char32_t)> is_delimiter_;
  bool ascii_[128];
};

// Implements Split with the behavior Isolated for a pattern that matches everywhere.
class WordSplit final : public PreTokenizer {
 public:
  explicit WordSplit(WordMatcher matcher) : matcher_(matcher) {}

  void apply(Pieces& pieces) const override {
    pieces.split([&](std::string_view text, const auto& emit) {
      for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = matcher_(text, begin);
        emit(begin, end);
        begin = end;
      }
    });
  }

 private:
  WordMatcher matcher_;
};

// Keeps the words \w+|[^\w\s]+ and drops blanks.
class Whitespace final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    pieces.split([](std::string_view text, const auto& emit) {
      enum class Kind { kBlank, kWord, kSign };
      Kind kind = Kind::kBlank;
      std::size_t begin = 0;
      for (std::size_t position = 0; position < text.size();) {
        const std::size_t here = position;
        const char32_t c = next_code_point(text, position);
        const Kind next = is_word_character(c) ? Kind::kWord : (is_space(c) ? Kind::kBlank : Kind::kSign);
        if (next == kind) continue;
        if (kind != Kind::kBlank) emit(begin, here);
        begin = here;
        kind = next;
      }
      if (kind != Kind::kBlank) emit(begin, text.size());
    });
  }
};

class PrefixSpace final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    pieces.rewrite([](std::string_view text, bool) { return text.starts_with(' ') ? "" : " "; },
                   [](std::string_view text, std::string& out) { out += text; });
  }
};

class ByteAlphabet final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    pieces.rewrite([](std::string_view, bool) { return ""; }, append_in_byte_alphabet);
  }
};

class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend { kAlways, kFirst, kNever };
  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  void apply(Pieces& pieces) const override {
    const auto prefix = [&](std::string_view text, bool at_origin) {
      const bool has_prefix = text.starts_with(' ') || text.starts_with(replacement_);
      const bool prepends = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && at_origin);
      return prepends && !has_prefix ? std::string_view(replacement_) : std::string_view();
    };
    pieces.rewrite(prefix, [&](std::string_view text, std::string& out) {
      for (std::size_t blank = text.find(' '); blank != std::string_view::npos; blank = text.find(' ')) {
        out += text.substr(0, blank);
        out += replacement_;
        text.remove_prefix(blank + 1);
      }
      out += text;
    });
    if (!split_) return;
    pieces.split([&](std::string_view text, const auto& emit) {
      std::size_t begin = 0;
      for (std::size_t next = 0; begin < text.size(); begin = next) {
        next = std::min(text.find(replacement_, begin + 1), text.size());
        emit(begin, next);
      }
    });
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

std::unique_ptr<const PreTokenizer> make_metaspace(const Json& json) {
  const std::string scheme = json.value("prepend_scheme", "always");
  auto prepend = Metaspace::Prepend::kAlways;
  if (scheme == "first") {
    prepend = Metaspace::Prepend::kFirst;
  } else if (scheme == "never" || !json.value("add_prefix_space", true)) {
    prepend = Metaspace::Prepend::kNever;
  } else if (scheme != "always") {
    throw InputError(fmt::format("Metaspace: expected a prepend_scheme of always, first or never, found '{}'", scheme));
  }
  const Json split = json.value("split", Json());
  return std::make_unique<Metaspace>(read_character(json, "replacement"), prepend,
                                     !split.is_boolean() || split.get<bool>());
}

// Returns true if the matcher, one of word_patterns.h, matches at every position of every text.
bool matches_everywhere(WordMatcher matcher) {
  for (const std::string_view text : {"1", "a", " ", "\n", ".", "\x01", "\xCC\x81", "\xE4\xB8\x80"}) {
    if (matcher(text, 0) == kNoWord) return false;
  }
  return true;
}

std::unique_ptr<const PreTokenizer> make_split(const Json& json) {
  const SplitBehavior behavior = parse_split_behavior(json.at("behavior").get<std::string>());
  const bool invert = json.value("invert", false);
  const Json& pattern = json.at("pattern");
  if (behavior == SplitBehavior::kIsolated && pattern.is_object() && pattern.contains("Regex")) {
    const WordMatcher matcher = find_word_matcher(pattern.at("Regex").get<std::string>());
    if (matcher != nullptr && matches_everywhere(matcher)) return std::make_unique<WordSplit>(matcher);
  }
  return std::make_unique<PatternSplit>(make_text_pattern(pattern), behavior, invert);
}

void add_byte_level(const Json& json, Steps& steps) {
  if (json.value("add_prefix_space", true)) steps.push_back(std::make_unique<PrefixSpace>());
  if (json.value("use_regex", true)) steps.push_back(std::make_unique<WordSplit>(gpt2_word_end));
  steps.push_back(std::make_unique<ByteAlphabet>());
}

void add_steps(const Json& json, Steps& steps) {
  const auto split_at = [&](std::function<bool(char32_t)> is_delimiter, SplitBehavior behavior) {
    steps.push_back(std::make_unique<CharacterSplit>(std::move(is_delimiter), behavior));
  };
  const std::string type = json.is_object() ? json.value("type", "") : json.dump();
  if (type == "Sequence") {
    for (const Json& part : json.at("pretokenizers")) add_steps(part, steps);
  } else if (type == "ByteLevel") {
    add_byte_level(json, steps);
  } else if (type == "Metaspace") {
    steps.push_back(make_metaspace(json));
  } else if (type == "Split") {
    steps.push_back(make_split(json));
  } else if (type == "Digits") {
    split_at(is_numeric,
             json.value("individual_digits", false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  } else if (type == "Punctuation") {
    split_at(is_legacy_punctuation, parse_split_behavior(json.value("behavior", "Isolated")));
  } else if (type == "Whitespace") {
    steps.push_back(std::make_unique<Whitespace>());
  } else if (type == "WhitespaceSplit") {
    split_at(is_space, SplitBehavior::kRemoved);
  } else if (type == "BertPreTokenizer") {
    split_at(is_space, SplitBehavior::kRemoved);
    split_at(is_legacy_punctuation, SplitBehavior::kIsolated);
  } else if (type == "CharDelimiterSplit") {
    const char32_t delimiter = code_point_at(read_character(json, "delimiter"), 0);
    split_at([delimiter](char32_t c) { return c == delimiter; }, SplitBehavior::kRemoved);
  } else {
    throw InputError(fmt::format("the pre_tokenizer '{}' is not supported", type));
  }
}

}  // namespace

PreTokenizers make_pre_tokenizers(const Json& json) {
  PreTokenizers result;
  if (json.is_null()) return result;
  add_steps(json, result.steps);
  if (!result.steps.empty() && dynamic_cast<const ByteAlphabet*>(result.steps.back().get()) != nullptr) {
    result.steps.pop_back();
    result.ends_in_byte_alphabet = true;
  }
  return result;
}

}  // namespace lockstep::text
