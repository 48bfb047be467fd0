#include "text/components/charsmap.h"

#include <algorithm>
#include <cstring>

#include "lockstep/core/error.h"
#include "text/output_limit.h"
#include "text/unicode/character_class.h"
#include "text/unicode/grapheme.h"

namespace lockstep::text {
namespace {

constexpr std::size_t kLongestCluster = 5;  // bytes; longer clusters are replaced character by character

// Accessors for a unit of darts-clone's double array.
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) == 1; }
std::uint32_t value(std::uint32_t unit) { return unit & 0x7FFFFFFF; }
std::uint32_t label(std::uint32_t unit) { return unit & 0x800000FF; }
std::uint32_t offset(std::uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view bytes, Matching matching) : matching_(matching) {
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

std::optional<Charsmap::Rule> Charsmap::find(std::string_view text, bool longest) const {
  std::optional<Rule> found;
  std::uint32_t node = offset(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) break;
    node ^= byte;
    if (node >= units_.size() || label(units_[node]) != byte) break;
    const std::uint32_t unit = units_[node];
    node ^= offset(unit);
    if (node >= units_.size()) break;
    if (!has_leaf(unit)) continue;
    const std::uint32_t begin = value(units_[node]);
    if (begin >= replacements_.size()) break;
    found = Rule{i + 1, replacements_.c_str() + begin};
    if (!longest) break;
  }
  return found;
}

bool Charsmap::leaves(std::string_view text) const {
  return std::all_of(text.begin(), text.end(), [&](char byte) { return plain_[static_cast<unsigned char>(byte)]; });
}

void Charsmap::apply(std::string_view text, std::string& out, std::size_t largest) const {
  for (std::size_t position = 0; position < text.size();) {
    std::size_t plain = position;
    while (plain < text.size() && plain_[static_cast<unsigned char>(text[plain])]) ++plain;
    if (plain < text.size() && plain > position && !is_ascii(text[plain])) --plain;  // a combining mark may follow
    out += text.substr(position, plain - position);
    if (plain == text.size()) return;
    if (matching_ == Matching::kLongest) {
      position = plain + apply_longest(text.substr(plain), out);
    } else {
      position = short_grapheme_end(text, plain);
      apply_to_cluster(text.substr(plain, position - plain), out);
    }
    check_growth(out.size(), largest);
  }
}

void Charsmap::apply_to_cluster(std::string_view cluster, std::string& out) const {
  if (cluster.size() <= kLongestCluster) {
    if (const auto rule = find(cluster)) {
      out += rule->replacement;
      return;
    }
  }
  for (std::size_t begin = 0; begin < cluster.size();) {
    std::size_t next = begin;
    next_code_point(cluster, next);
    const std::string_view character = cluster.substr(begin, next - begin);
    const auto rule = find(character);
    out += rule ? rule->replacement : character;
    begin = next;
  }
}

std::size_t Charsmap::apply_longest(std::string_view text, std::string& out) const {
  if (const auto rule = find(text, /*longest=*/true)) {
    out += rule->replacement;
    return rule->length;
  }
  std::size_t next = 0;
  next_code_point(text, next);
  out += text.substr(0, next);
  return next;
}

}  // namespace lockstep::text
