#include "text/vocabulary.h"

#include <fmt/format.h>
#include <algorithm>
#include <bit>

#include "lockstep/core/error.h"
#include "text/models/word_hash.h"

namespace lockstep::text {
namespace {

constexpr TokenId kLargestId = 1 << 24;  // far above any vocabulary, so that a broken file cannot take gigabytes

}  // namespace

std::size_t Vocabulary::slot_of(std::string_view token) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash_word(token) & mask;
  while (slots_[slot] != kNone && text(entries_[slots_[slot]]) != token) slot = (slot + 1) & mask;
  return slot;
}

void Vocabulary::rehash(std::size_t slots) {
  slots_.assign(slots, kNone);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) slots_[slot_of(text(entries_[i]))] = i;
}

void Vocabulary::reserve(std::size_t tokens) {
  entries_.reserve(tokens);
  by_id_.reserve(tokens);
  rehash(std::bit_ceil(2 * tokens + 2));
}

void Vocabulary::add(std::string_view token, TokenId id) {
  if (id > kLargestId) {
    throw InputError(fmt::format("the token '{}' has the id {}; ids up to {} are supported", token, id, kLargestId));
  }
  if (2 * (entries_.size() + 1) > slots_.size()) rehash(std::bit_ceil(4 * entries_.size() + 16));
  std::uint32_t& index = slots_[slot_of(token)];
  if (index == kNone) {
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.push_back({static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(token.size()), id});
    bytes_ += token;
    longest_ = std::max(longest_, token.size());
  } else {
    by_id_[entries_[index].id] = kNone;
    entries_[index].id = id;
  }
  if (id >= by_id_.size()) by_id_.resize(id + 1, kNone);
  by_id_[id] = index;
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const std::uint32_t index = slots_[slot_of(token)];
  return index == kNone ? std::nullopt : std::optional(entries_[index].id);
}

std::optional<std::string_view> Vocabulary::token(TokenId id) const {
  if (id >= by_id_.size() || by_id_[id] == kNone) return std::nullopt;
  return text(entries_[by_id_[id]]);
}

}  // namespace lockstep::text
