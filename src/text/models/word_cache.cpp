#include "text/models/word_cache.h"

namespace lockstep::text {

WordCache::WordCache() : slots_(kSlots) {}

void WordCache::clear() {
  slots_.assign(kSlots, {});
  bytes_.clear();
  ids_.clear();
  words_ = 0;
}

void WordCache::insert(std::string_view word, std::uint64_t hash, std::span<const TokenId> ids, float note) {
  if (words_ == kSlots / 2) clear();
  ++words_;
  std::size_t slot = hash & (kSlots - 1);
  while (slots_[slot].length != 0) slot = (slot + 1) & (kSlots - 1);
  slots_[slot] = {hash,
                  static_cast<std::uint32_t>(bytes_.size()),
                  static_cast<std::uint32_t>(ids_.size()),
                  static_cast<std::uint16_t>(word.size()),
                  static_cast<std::uint16_t>(ids.size()),
                  note};
  bytes_.insert(bytes_.end(), word.begin(), word.end());
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

}  // namespace lockstep::text
