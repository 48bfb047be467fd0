#include "bpe_model.h"

#include <fmt/format.h>
#include <algorithm>
#include <limits>
#include <queue>

#include "byte_level.h"
#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr std::size_t kShortWord = 48;  // up to here a scan for the best pair beats a heap
constexpr TokenId kNoToken = std::numeric_limits<TokenId>::max();
constexpr std::uint32_t kNoSymbol = std::numeric_limits<std::uint32_t>::max();

std::uint64_t pair_key(TokenId left, TokenId right) { return static_cast<std::uint64_t>(left) << 32 | right; }

TokenId required(const BpeModel::Vocabulary& vocabulary, const std::string& token, std::string_view user) {
  const auto found = vocabulary.find(token);
  if (found == vocabulary.end()) {
    throw InputError(fmt::format("the vocabulary lacks '{}', which {} needs", token, user));
  }
  return found->second;
}

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
                   bool ignore_merges)
    : vocabulary_(std::move(vocabulary)), ignore_merges_(ignore_merges) {
  TokenId largest = 0;
  for (const auto& [token, id] : vocabulary_) largest = std::max(largest, id);
  tokens_.resize(std::size_t{largest} + 1, nullptr);
  for (const auto& [token, id] : vocabulary_) tokens_[id] = &token;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const auto found = vocabulary_.find(byte_level_alphabet()[byte]);
    byte_ids_[byte] = found == vocabulary_.end() ? kNoToken : found->second;
  }
  merges_.reserve(merges.size());
  for (std::uint32_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const std::string name = fmt::format("merge {} ('{} {}')", rank + 1, left, right);
    const std::uint64_t key = pair_key(required(vocabulary_, left, name), required(vocabulary_, right, name));
    merges_.insert_or_assign(key, Merge{rank, required(vocabulary_, left + right, name)});
  }
}

std::optional<TokenId> BpeModel::find(const std::string& token) const {
  const auto found = vocabulary_.find(token);
  return found == vocabulary_.end() ? std::nullopt : std::optional(found->second);
}

const BpeModel::Merge* BpeModel::find_merge(TokenId left, TokenId right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BpeModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (ignore_merges_) {
    std::string token;
    for (const char byte : word) token += byte_level_alphabet()[static_cast<unsigned char>(byte)];
    if (const auto id = find(token)) {
      ids.push_back(*id);
      return;
    }
  }
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  for (const char byte : word) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id != kNoToken) symbols.push_back(id);  // without an unknown token, tokenizers drops what it cannot spell
  }
  if (symbols.size() <= kShortWord) {
    merge_short(symbols);
  } else {
    merge_long(symbols);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void BpeModel::merge_short(std::vector<TokenId>& symbols) const {
  while (symbols.size() > 1) {
    const Merge* best = nullptr;
    std::size_t best_position = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge* merge = find_merge(symbols[i], symbols[i + 1]);
      if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
        best = merge;
        best_position = i;
      }
    }
    if (best == nullptr) return;
    symbols[best_position] = best->id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_position) + 1);
  }
}

// The symbols as a linked list, the possible merges in a heap; an entry whose pair has changed meanwhile is skipped.
void BpeModel::merge_long(std::vector<TokenId>& symbols) const {
  struct Symbol {
    TokenId id;
    std::uint32_t previous, next;
  };
  struct Candidate {
    std::uint32_t rank, position;
    TokenId left, right, merged;
    bool operator<(const Candidate& other) const {  // the heap's top is the lowest rank, leftmost first
      return std::pair(rank, position) > std::pair(other.rank, other.position);
    }
  };
  std::vector<Symbol> list(symbols.size());
  std::priority_queue<Candidate> heap;
  const auto consider = [&](std::uint32_t position) {
    if (position == kNoSymbol || list[position].next == kNoSymbol) return;
    const TokenId left = list[position].id, right = list[list[position].next].id;
    if (const Merge* merge = find_merge(left, right)) heap.push({merge->rank, position, left, right, merge->id});
  };
  for (std::uint32_t i = 0; i < list.size(); ++i) {
    list[i] = {symbols[i], i == 0 ? kNoSymbol : i - 1, i + 1 == list.size() ? kNoSymbol : i + 1};
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
    right.id = kNoToken;  // no candidate matches it any more
    consider(left.previous);
    consider(best.position);
  }
  symbols.clear();
  for (std::uint32_t i = 0; i != kNoSymbol; i = list[i].next) symbols.push_back(list[i].id);
}

}  // namespace lockstep
