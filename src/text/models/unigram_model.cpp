#include "text/models/unigram_model.h"

#include <fmt/format.h>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include "lockstep/core/error.h"
#include "text/components/metaspace.h"
#include "text/models/word_cache.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

constexpr double kUnknownPenalty = 10.0;  // SentencePiece's kUnkPenalty
constexpr std::size_t kNowhere = std::string_view::npos;
constexpr double kLargestSum = 1e30;  // larger than the sum of any text, and fits in a float

std::atomic<std::uint64_t> count{0};

}  // namespace

UnigramModel::UnigramModel(const Pieces& pieces, std::optional<TokenId> unknown_id, bool byte_fallback,
                           Precision precision, const std::vector<TokenId>& hidden)
    : unknown_id_(unknown_id), byte_fallback_(byte_fallback), precision_(precision), number_(++count) {
  if (unknown_id_ && *unknown_id_ >= pieces.size()) {
    throw InputError(fmt::format("unk_id is {}, beyond the vocabulary of {} pieces", *unknown_id_, pieces.size()));
  }
  double min_score = std::numeric_limits<double>::infinity();
  std::vector<std::pair<std::string_view, std::int32_t>> strings;
  vocabulary_.reserve(pieces.size());
  for (TokenId id = 0; id < pieces.size(); ++id) {
    const auto& [text, score] = pieces[id];
    if (const auto earlier = vocabulary_.find(text)) repeated_.emplace_back(*earlier, text);
    vocabulary_.add(text, id);
    scores_.push_back(score);
    if (std::ranges::binary_search(hidden, id)) continue;
    if (!text.empty()) strings.emplace_back(text, static_cast<std::int32_t>(id));
    min_score = std::min(min_score, score);
  }
  unknown_score_ = min_score - kUnknownPenalty;
  trie_ = ByteTrie(std::move(strings));
  separable_at_blanks_ = find(kMetaspace).has_value() && std::ranges::all_of(pieces, [](const auto& piece) {
                           const auto& [text, score] = piece;
                           return has_only_leading_metaspaces(text) && std::isfinite(score) && score <= 0;
                         });
  for (unsigned byte = 0; byte < 256; ++byte) byte_tokens_[byte] = find(fmt::format("<0x{:02X}>", byte));
}

std::optional<std::string_view> UnigramModel::token(TokenId id) const {
  if (const auto text = vocabulary_.token(id)) return text;
  for (const auto& [repeated, text] : repeated_) {
    if (repeated == id) return text;
  }
  return std::nullopt;
}

void UnigramModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (precision_ == Precision::kDouble) {
    encode_after<double>(0, word, ids);
  } else if (separable_at_blanks_) {
    encode_word_by_word(word, ids);
  } else {
    encode_after<float>(0, word, ids);
  }
}

// Calls offer(begin, end, id, score) for every piece in `word` that starts and ends between characters, in order of
// `begin`.
template <class Offer>
void UnigramModel::offer_pieces(std::string_view word, const Offer& offer) const {
  for (std::size_t begin = 0; begin < word.size();) {
    std::size_t next = begin;
    next_code_point(word, next);
    bool has_single_character = false;
    const ByteTrie::Node* node = trie_.root();
    for (std::size_t end = begin; end < word.size();) {
      node = trie_.step(node, word[end++]);
      if (node == nullptr) break;
      if (node->value == ByteTrie::kNoValue) continue;
      const auto id = static_cast<TokenId>(node->value);
      offer(begin, end, id, scores_[id]);
      if (end == next) has_single_character = true;
    }
    if (!has_single_character) {
      if (!unknown_id_) {
        throw InputError(
            fmt::format("the vocabulary lacks the character '{}' and has no unk_id", word.substr(begin, next - begin)));
      }
      offer(begin, next, *unknown_id_, unknown_score_);
    }
    begin = next;
  }
}

template <class Score>
Score UnigramModel::encode_after(Score sum, std::string_view word, std::vector<TokenId>& ids) const {
  struct Best {
    Score score = 0;
    std::size_t begin = kNowhere;  // where the last piece of the best path to this position begins
    TokenId id = 0;
  };
  thread_local std::vector<Best> best;
  best.assign(word.size() + 1, {});
  best[0].score = sum;
  offer_pieces(word, [&](std::size_t begin, std::size_t end, TokenId id, double score) {
    const Score total = static_cast<Score>(score) + best[begin].score;
    if (best[end].begin == kNowhere || total > best[end].score) best[end] = {total, begin, id};
  });
  const std::size_t first = ids.size();
  std::size_t unknown_end = kNowhere;  // end of a run of unknown characters that has not been emitted yet
  for (std::size_t end = word.size(); end > 0; end = best[end].begin) {
    if (best[end].id == unknown_id_) {
      if (unknown_end == kNowhere) unknown_end = end;
      continue;
    }
    if (unknown_end != kNowhere) append_unknown(word.substr(end, unknown_end - end), ids);
    unknown_end = kNowhere;
    ids.push_back(best[end].id);
  }
  if (unknown_end != kNowhere) append_unknown(word.substr(0, unknown_end), ids);
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
  return best[word.size()].score;
}

// No piece spans two words, so the best path of a text consists of the best paths of its words, each computed after the
// sum of the words before it. That sum affects the result only through rounding: if the second-best path of a word is
// further away than rounding can bridge, the word's ids are cached.
void UnigramModel::encode_word_by_word(std::string_view text, std::vector<TokenId>& ids) const {
  struct Memory {
    std::uint64_t owner = 0;
    WordCache words;  // the note is the lowest sum after which the ids are valid
  };
  thread_local Memory memory;
  if (memory.owner != number_) {
    memory.owner = number_;
    memory.words.clear();
  }
  float sum = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, first_word_bytes(text));
    text.remove_prefix(word.size());
    if (word.size() > WordCache::kLongestWord) {
      sum = encode_after(sum, word, ids);
      continue;
    }
    const std::uint64_t hash = hash_word(word);
    const WordCache::Entry* entry = memory.words.find(word, hash);
    if (entry != nullptr && sum >= entry->note) {
      for (const TokenId id : memory.words.ids_of(*entry)) {
        ids.push_back(id);
        sum = static_cast<float>(scores_[id]) + sum;
      }
      continue;
    }
    const std::size_t before = ids.size();
    sum = encode_after(sum, word, ids);
    if (entry == nullptr) {
      const auto new_ids = std::span<const TokenId>(ids).subspan(before);
      memory.words.insert(word, hash, new_ids, lowest_safe_sum(word, new_ids));
    }
  }
}

// Returns the lowest sum after which `ids` are the ids of `word` in single precision, or infinity if there is none.
// Every score is at most 0.
//
// After the sum S, a path of k pieces has a total T that is rounded k times, each time by at most 2^-24 |T| because
// totals only decrease; its k scores may be rounded by as much. A path whose exact total is lower than the best by d
// stays below it if d > 2k 2^-24 (2 |T| + d), where T is the best total. A path that is still lower has correspondingly
// more room, so the second best decides.
float UnigramModel::lowest_safe_sum(std::string_view word, std::span<const TokenId> ids) const {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  struct Two {
    double best = kNone, second = kNone;
  };
  thread_local std::vector<Two> sums;
  sums.assign(word.size() + 1, {});
  sums[0].best = 0;
  std::size_t characters = 0;
  std::size_t last_begin = kNowhere;
  offer_pieces(word, [&](std::size_t begin, std::size_t end, TokenId, double score) {
    if (begin != last_begin) ++characters;
    last_begin = begin;
    for (const double before : {sums[begin].best, sums[begin].second}) {
      const double total = before + score;
      Two& two = sums[end];
      if (total > two.best) {
        two.second = std::exchange(two.best, total);
      } else {
        two.second = std::max(two.second, total);
      }
    }
  });
  constexpr float kNever = std::numeric_limits<float>::infinity();
  double total = 0;
  for (const TokenId id : ids) {
    if (id == unknown_id_) return kNever;
    total += scores_[id];
  }
  const auto& [best, second] = sums[word.size()];
  if (total != best) return kNever;  // bytes of unknown characters, or not the best path in double precision
  const double rounding = static_cast<double>(2 * characters + 1) * std::ldexp(1.0, -24);
  const double largest_total = (best - second) * (1 - rounding) / (2 * rounding);
  return static_cast<float>(-std::min(largest_total + best, kLargestSum));
}

void UnigramModel::append_unknown(std::string_view text, std::vector<TokenId>& reversed) const {
  if (const auto id = find(text); id && precision_ == Precision::kDouble) {
    reversed.push_back(*id);
    return;
  }
  const auto has_token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)].has_value(); };
  if (!byte_fallback_ || !std::all_of(text.begin(), text.end(), has_token)) {
    reversed.push_back(*unknown_id_);
    return;
  }
  for (std::size_t i = text.size(); i > 0; --i) {
    reversed.push_back(*byte_tokens_[static_cast<unsigned char>(text[i - 1])]);
  }
}

}  // namespace lockstep::text
