#include "unigram_model.h"

#include <fmt/format.h>
#include <algorithm>
#include <limits>

#include "character_class.h"
#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr double kUnknownPenalty = 10.0;  // SentencePiece's kUnkPenalty

}  // namespace

UnigramModel::UnigramModel(const Pieces& pieces, std::optional<TokenId> unknown_id, bool byte_fallback,
                           Precision precision)
    : unknown_id_(unknown_id), byte_fallback_(byte_fallback), precision_(precision) {
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
    if (!text.empty()) strings.emplace_back(text, static_cast<std::int32_t>(id));
    min_score = std::min(min_score, score);
  }
  unknown_score_ = min_score - kUnknownPenalty;
  trie_ = ByteTrie(std::move(strings));
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
  if (precision_ == Precision::kSingle) {
    encode_in<float>(word, ids);
  } else {
    encode_in<double>(word, ids);
  }
}

template <class Score>
void UnigramModel::encode_in(std::string_view word, std::vector<TokenId>& ids) const {
  constexpr std::size_t kNowhere = std::string_view::npos;
  struct Best {
    Score score = 0;
    std::size_t begin = kNowhere;  // of the last piece of the best path that ends here
    TokenId id = 0;
  };
  thread_local std::vector<Best> best;
  best.assign(word.size() + 1, {});
  const auto offer = [&](std::size_t begin, std::size_t end, TokenId id, Score piece_score) {
    const Score total = piece_score + best[begin].score;
    if (best[end].begin == kNowhere || total > best[end].score) best[end] = {total, begin, id};
  };
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
      offer(begin, end, id, static_cast<Score>(scores_[id]));
      if (end == next) has_single_character = true;
    }
    if (!has_single_character) {
      if (!unknown_id_) {
        throw InputError(
            fmt::format("the vocabulary lacks the character '{}' and has no unk_id", word.substr(begin, next - begin)));
      }
      offer(begin, next, *unknown_id_, static_cast<Score>(unknown_score_));
    }
    begin = next;
  }
  const std::size_t first = ids.size();
  std::size_t unknown_end = kNowhere;  // of a run of unknown characters that has not been written yet
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
}

void UnigramModel::append_unknown(std::string_view text, std::vector<TokenId>& reversed) const {
  if (const auto id = find(text)) {
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

}  // namespace lockstep
