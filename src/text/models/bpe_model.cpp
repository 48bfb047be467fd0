#include "text/models/bpe_model.h"

#include <fmt/format.h>
#include <algorithm>
#include <bit>
#include <limits>
#include <queue>

#include "lockstep/core/error.h"
#include "text/components/metaspace.h"
#include "text/models/word_hash.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

constexpr std::size_t kShortWord = 64;  // up to this length a linear scan for the best pair beats a heap
constexpr TokenId kNoToken = std::numeric_limits<TokenId>::max();
constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kNoSymbol = std::numeric_limits<std::uint32_t>::max();

std::uint64_t pair_key(TokenId left, TokenId right) { return static_cast<std::uint64_t>(left) << 32 | right; }

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, const Merges& merges, Options options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  has_affixes_ = !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  // Without an unk_token, a missing character is dropped, and its neighbours may merge.
  separable_at_blanks_ = !has_affixes_ && !options_.ignore_merges && options_.unk_token && find(kMetaspace).has_value();
  merges_.assign(std::bit_ceil(2 * merges.size() + 2), Merge{kNoPair, 0, 0});
  const std::size_t prefix = options_.continuing_subword_prefix.size();
  std::string merged;
  for (std::uint32_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    merged = left;
    merged += std::string_view(right).substr(std::min(prefix, right.size()));
    const auto left_id = find(left), right_id = find(right), merged_id = find(merged);
    if (!left_id || !right_id || !merged_id) {
      throw InputError(fmt::format("the vocabulary lacks '{}', which merge {} ('{} {}') needs",
                                   !left_id ? left : (!right_id ? right : merged), rank + 1, left, right));
    }
    add_merge(*left_id, *right_id, rank, *merged_id);
    separable_at_blanks_ = separable_at_blanks_ && has_only_leading_metaspaces(merged);
  }
  if (options_.unk_token) unk_id_ = find(*options_.unk_token);
  for (char32_t c = 0; c < low_characters_.size(); ++c) {
    std::string character;
    append_utf8(c, character);
    low_characters_[c] = find(character).value_or(kNoToken);
  }
  for (unsigned byte = 0; byte < 256; ++byte) byte_tokens_[byte] = find(fmt::format("<0x{:02X}>", byte));
}

void BpeModel::add_merge(TokenId left, TokenId right, std::uint32_t rank, TokenId merged) {
  const std::uint64_t pair = pair_key(left, right);
  const std::size_t mask = merges_.size() - 1;
  std::size_t slot = mix_bits(pair) & mask;
  while (merges_[slot].pair != kNoPair && merges_[slot].pair != pair) slot = (slot + 1) & mask;
  merges_[slot] = {pair, rank, merged};
}

const BpeModel::Merge* BpeModel::find_merge(TokenId left, TokenId right) const {
  const std::uint64_t pair = pair_key(left, right);
  const std::size_t mask = merges_.size() - 1;
  for (std::size_t slot = mix_bits(pair) & mask; merges_[slot].pair != kNoPair; slot = (slot + 1) & mask) {
    if (merges_[slot].pair == pair) return &merges_[slot];
  }
  return nullptr;
}

void BpeModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (options_.ignore_merges) {
    if (const auto id = find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  const std::size_t first = ids.size();
  append_symbols(word, ids);
  if (ids.size() - first <= kShortWord) {
    merge_short(ids, first);
  } else {
    merge_long(ids, first);
  }
}

std::optional<TokenId> BpeModel::initial(std::string_view character, bool is_first, bool is_last) const {
  if (!has_affixes_) {
    const char32_t code_point = code_point_at(character, 0);
    if (code_point >= low_characters_.size()) return find(character);
    const TokenId id = low_characters_[code_point];
    return id == kNoToken ? std::nullopt : std::optional(id);
  }
  return find(fmt::format("{}{}{}", is_first ? "" : options_.continuing_subword_prefix, character,
                          is_last ? options_.end_of_word_suffix : ""));
}

// Appends the bytes of a missing character, including its affixes. Returns false, appending nothing, if one of them has
// no token.
bool BpeModel::append_bytes(std::string_view character, bool is_first, bool is_last,
                            std::vector<TokenId>& symbols) const {
  const std::size_t before = symbols.size();
  const std::string_view parts[] = {is_first ? "" : std::string_view(options_.continuing_subword_prefix), character,
                                    is_last ? std::string_view(options_.end_of_word_suffix) : ""};
  for (const std::string_view part : parts) {
    for (const char byte : part) {
      const auto& id = byte_tokens_[static_cast<unsigned char>(byte)];
      if (!id) {
        symbols.resize(before);
        return false;
      }
      symbols.push_back(*id);
    }
  }
  return true;
}

void BpeModel::append_symbols(std::string_view word, std::vector<TokenId>& symbols) const {
  bool pending_unknown = false;
  for (std::size_t position = 0; position < word.size();) {
    const std::size_t begin = position;
    next_code_point(word, position);
    const std::string_view character = word.substr(begin, position - begin);
    const bool is_first = begin == 0, is_last = position == word.size();
    if (const auto id = initial(character, is_first, is_last)) {
      if (pending_unknown) symbols.push_back(*unk_id_);
      pending_unknown = false;
      symbols.push_back(*id);
      continue;
    }
    // As in tokenizers, byte tokens are emitted before an unknown token that waits to be fused.
    if (options_.byte_fallback && append_bytes(character, is_first, is_last, symbols)) continue;
    if (!options_.unk_token) continue;
    if (!unk_id_) throw InputError(fmt::format("the vocabulary lacks its unk_token '{}'", *options_.unk_token));
    if (pending_unknown && !options_.fuse_unk) symbols.push_back(*unk_id_);
    pending_unknown = true;
  }
  if (pending_unknown) symbols.push_back(*unk_id_);
}

void BpeModel::merge_short(std::vector<TokenId>& ids, std::size_t first) const {
  std::size_t count = ids.size() - first;
  TokenId* symbols = ids.data() + first;
  std::uint32_t ranks[kShortWord];  // ranks[i] is that of the pair (i, i + 1)
  TokenId merged[kShortWord];
  const auto look_up = [&](std::size_t i) {
    const Merge* merge = find_merge(symbols[i], symbols[i + 1]);
    ranks[i] = merge == nullptr ? kNoRank : merge->rank;
    merged[i] = merge == nullptr ? kNoToken : merge->id;
  };
  for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const std::size_t pairs = count - 1;
    const auto best = static_cast<std::size_t>(std::min_element(ranks, ranks + pairs) - ranks);
    if (ranks[best] == kNoRank) break;
    symbols[best] = merged[best];
    std::copy(symbols + best + 2, symbols + count, symbols + best + 1);
    std::copy(ranks + best + 1, ranks + pairs, ranks + best);
    std::copy(merged + best + 1, merged + pairs, merged + best);
    --count;
    if (best + 1 < count) look_up(best);
    if (best > 0) look_up(best - 1);
  }
  ids.resize(first + count);
}

// Keeps the symbols in a linked list and the candidate merges in a heap; entries whose pair has changed are skipped.
void BpeModel::merge_long(std::vector<TokenId>& ids, std::size_t first) const {
  struct Symbol {
    TokenId id;
    std::uint32_t previous, next;
  };
  struct Candidate {
    std::uint32_t rank, position;
    TokenId left, right, merged;
    bool operator<(const Candidate& other) const {  // the heap's top is the lowest rank, then the leftmost
      return std::pair(rank, position) > std::pair(other.rank, other.position);
    }
  };
  std::vector<Symbol> list(ids.size() - first);
  std::priority_queue<Candidate> heap;
  const auto consider = [&](std::uint32_t position) {
    if (position == kNoSymbol || list[position].next == kNoSymbol) return;
    const TokenId left = list[position].id, right = list[list[position].next].id;
    if (const Merge* merge = find_merge(left, right)) heap.push({merge->rank, position, left, right, merge->id});
  };
  for (std::uint32_t i = 0; i < list.size(); ++i) {
    list[i] = {ids[first + i], i == 0 ? kNoSymbol : i - 1, i + 1 == list.size() ? kNoSymbol : i + 1};
  }
  for (std::uint32_t i = 0; i < list.size(); ++i) consider(i);
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    Symbol& left = list[best.position];
    if (left.id != best.left || left.next == kNoSymbol || list[left.next].id != best.right) continue;
    Symbol& right = list[left.next];
    left.id = best.merged;
    left.next = right.next;
    if (right.next != kNoSymbol) list[right.next].previous = best.position;
    right.id = kNoToken;  // so that no candidate matches it any more
    consider(left.previous);
    consider(best.position);
  }
  ids.resize(first);
  for (std::uint32_t i = 0; i != kNoSymbol; i = list[i].next) ids.push_back(list[i].id);
}

}  // namespace lockstep::text
