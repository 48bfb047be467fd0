#include "text/added_tokens.h"

#include <algorithm>
#include <cstring>

namespace lockstep::text {
namespace {

bool is_blank_at(std::string_view text, std::size_t position) {
  return character_class(code_point_at(text, position)) == CharacterClass::kSpace;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  const auto [found, is_new] = by_content_.try_emplace(token.content);
  // If several tokens had this id, by_id_ holds the last of them, and must keep it.
  if (const auto former = by_id_.find(found->second.id); !is_new && former != by_id_.end()) {
    if (former->second == token.content) by_id_.erase(former);
  }
  token.special = token.special || found->second.special;
  by_id_[token.id] = token.content;
  found->second = std::move(token);
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &by_content_.at(found->second);
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &found->second;
}

AddedTokenFinder::AddedTokenFinder(const AddedTokens& tokens, bool normalized, const Normalizer* normalizer,
                                   bool splits_special_tokens)
    : splits_special_tokens_(splits_special_tokens) {
  for (const auto& [content, token] : tokens.by_content()) {
    if (token.normalized != normalized) continue;
    NormalizedText text{content};
    if (normalized && normalizer != nullptr) normalizer->apply(text);
    if (!text.text.empty()) tokens_.emplace_back(std::move(text.text), &token);
  }
  std::vector<std::pair<std::string_view, std::int32_t>> strings;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    strings.emplace_back(tokens_[i].first, static_cast<std::int32_t>(i));
    const char first = tokens_[i].first.front();
    if (first_bytes_.find(first) == std::string::npos) first_bytes_ += first;
  }
  trie_ = ByteTrie(std::move(strings));
}

const std::string& AddedTokenFinder::form_of(const AddedToken& token) const {
  const auto found = std::ranges::find(tokens_, &token, &std::pair<std::string, const AddedToken*>::second);
  return found == tokens_.end() ? token.content : found->first;
}

AddedTokenFinder::Match AddedTokenFinder::next_match(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (first_bytes_.size() == 1) {
      const void* found = std::memchr(text.data() + begin, first_bytes_.front(), text.size() - begin);
      if (found == nullptr) break;
      begin = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    } else if (!trie_.starts_with(text[begin])) {
      continue;
    }
    Match longest{begin, begin, nullptr};
    const ByteTrie::Node* node = trie_.root();
    for (std::size_t end = begin; end < text.size();) {
      node = trie_.step(node, text[end++]);
      if (node == nullptr) break;
      if (node->value != ByteTrie::kNoValue)
        longest = {begin, end, tokens_[static_cast<std::size_t>(node->value)].second};
    }
    if (longest.token != nullptr) return longest;
  }
  return {text.size(), text.size(), nullptr};
}

bool AddedTokenFinder::is_single_word(std::string_view text, std::size_t begin, std::size_t end) {
  const bool word_before = begin > 0 && is_word_character(code_point_at(text, previous_character(text, begin)));
  const bool word_after = end < text.size() && is_word_character(code_point_at(text, end));
  return !word_before && !word_after;
}

std::size_t AddedTokenFinder::spaces_begin(std::string_view text, std::size_t end) {
  while (end > 0 && is_blank_at(text, previous_character(text, end))) end = previous_character(text, end);
  return end;
}

std::size_t AddedTokenFinder::spaces_end(std::string_view text, std::size_t begin) {
  while (begin < text.size() && is_blank_at(text, begin)) next_code_point(text, begin);
  return begin;
}

}  // namespace lockstep::text
