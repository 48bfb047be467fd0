#include "charsmap.h"

#include <algorithm>
#include <cstring>

#include "character_class.h"
#include "grapheme.h"
#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr std::size_t kLongestCluster = 5;  // bytes; a longer one is replaced character by character

// darts-clone's unit.
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) == 1; }
std::uint32_t value(std::uint32_t unit) { return unit & 0x7FFFFFFF; }
std::uint32_t label(std::uint32_t unit) { return unit & 0x800000FF; }
std::uint32_t offset(std::uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view bytes) {
  std::uint32_t trie_bytes = 0;
  if (bytes.size() >= sizeof trie_bytes) std::memcpy(&trie_bytes, bytes.data(), sizeof trie_bytes);
  bytes.remove_prefix(std::min(bytes.size(), sizeof trie_bytes));
  if (trie_bytes == 0 || trie_bytes > bytes.size() || trie_bytes % sizeof(std::uint32_t) != 0) {
    throw InputError("the precompiled charsmap is damaged: its trie is longer than the map");
  }
  units_.resize(trie_bytes / sizeof(std::uint32_t));
  std::memcpy(units_.data(), bytes.data(), trie_bytes);
  replacements_ = bytes.substr(trie_bytes);
  replacements_ += '\0';
  plain_.fill(false);
  for (unsigned c = 0; c < 128; ++c) {
    const char character = static_cast<char>(c);
    plain_[c] = character != '\r' && !find({&character, 1});
  }
}

// The replacement of the shortest prefix of `chunk` that has one.
std::optional<std::string_view> Charsmap::find(std::string_view chunk) const {
  std::uint32_t node = offset(units_[0]);
  for (const char character : chunk) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == 0) break;
    node ^= byte;
    if (node >= units_.size() || label(units_[node]) != byte) break;
    const std::uint32_t unit = units_[node];
    node ^= offset(unit);
    if (node >= units_.size()) break;
    if (!has_leaf(unit)) continue;
    const std::uint32_t begin = value(units_[node]);
    if (begin >= replacements_.size()) break;
    return std::string_view(replacements_.c_str() + begin);
  }
  return std::nullopt;
}

bool Charsmap::leaves(std::string_view text) const {
  return std::all_of(text.begin(), text.end(), [&](char byte) { return plain_[static_cast<unsigned char>(byte)]; });
}

void Charsmap::apply(std::string_view text, std::string& out) const {
  for (std::size_t position = 0; position < text.size();) {
    std::size_t plain = position;
    while (plain < text.size() && plain_[static_cast<unsigned char>(text[plain])]) ++plain;
    if (plain < text.size() && plain > position && !is_ascii(text[plain])) --plain;  // it may carry an accent
    out += text.substr(position, plain - position);
    if (plain == text.size()) return;
    const std::size_t end = short_grapheme_end(text, plain);
    const std::string_view cluster = text.substr(plain, end - plain);
    position = end;
    if (cluster.size() <= kLongestCluster) {
      if (const auto replacement = find(cluster)) {
        out += *replacement;
        continue;
      }
    }
    for (std::size_t begin = 0; begin < cluster.size();) {
      std::size_t next = begin;
      next_code_point(cluster, next);
      const std::string_view character = cluster.substr(begin, next - begin);
      out += find(character).value_or(character);
      begin = next;
    }
  }
}

}  // namespace lockstep
