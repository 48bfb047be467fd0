#include "added_tokens.h"

#include <algorithm>

#include "character_class.h"

namespace lockstep {
namespace {

bool is_word_character(std::string_view text, std::size_t position) {
  const CharacterClass kind = character_class(next_code_point(text, position));
  return kind == CharacterClass::kLetter || kind == CharacterClass::kNumber || text[position - 1] == '_';
}

std::size_t previous_character(std::string_view text, std::size_t position) {
  do {
    --position;
  } while ((static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  return position;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool word_before = begin > 0 && is_word_character(text, previous_character(text, begin));
  const bool word_behind = end < text.size() && is_word_character(text, end);
  return !word_before && !word_behind;
}

bool is_blank(std::string_view text, std::size_t position) {
  return character_class(next_code_point(text, position)) == CharacterClass::kSpace;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  const auto [found, is_new] = by_content_.try_emplace(token.content);
  if (is_new) {
    auto& same_start = by_first_byte_[token.content.front()];
    same_start.push_back(token.content);
    std::sort(same_start.begin(), same_start.end(),
              [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  } else {
    by_id_.erase(found->second.id);
  }
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

const AddedToken* AddedTokens::match(std::string_view text, std::size_t position) const {
  const auto candidates = by_first_byte_.find(text[position]);
  if (candidates == by_first_byte_.end()) return nullptr;
  for (const std::string& content : candidates->second) {
    if (text.substr(position, content.size()) != content) continue;
    const AddedToken& token = by_content_.find(content)->second;
    if (!token.single_word || stands_alone(text, position, position + content.size())) return &token;
    return nullptr;  // tokenizers drops such a match rather than trying a shorter one
  }
  return nullptr;
}

void AddedTokens::split(std::string_view text, const std::function<void(std::string_view)>& on_text,
                        const std::function<void(const AddedToken&)>& on_token) const {
  std::size_t begin = 0;  // of the stretch that has not been given out yet
  for (std::size_t position = 0; position < text.size();) {
    const AddedToken* token = match(text, position);
    if (token == nullptr) {
      ++position;
      continue;
    }
    std::size_t end = position;
    if (token->lstrip) {
      while (end > begin && is_blank(text, previous_character(text, end))) end = previous_character(text, end);
    }
    if (end > begin) on_text(text.substr(begin, end - begin));
    on_token(*token);
    position += token->content.size();
    if (token->rstrip) {
      while (position < text.size() && is_blank(text, position)) next_code_point(text, position);
    }
    begin = position;
  }
  if (begin < text.size()) on_text(text.substr(begin));
}

}  // namespace lockstep
