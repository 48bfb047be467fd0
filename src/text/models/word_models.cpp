#include "text/models/word_models.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {

TokenId WordLevelModel::unknown_id() const {
  if (const auto id = vocabulary_.find(unk_token_)) return *id;
  throw InputError(fmt::format("a word is not in the vocabulary, and neither is the unk_token '{}'", unk_token_));
}

void WordLevelModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  const auto id = find(word);
  ids.push_back(id ? *id : unknown_id());
}

void WordPieceModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  const std::size_t first = ids.size();
  const auto characters = word.size() - static_cast<std::size_t>(std::ranges::count_if(word, is_continuation_byte));
  std::size_t begin = characters > max_characters_ ? std::string_view::npos : 0;
  std::string candidate;
  while (begin < word.size()) {
    std::size_t end = std::min(word.size(), begin + longest_token());
    while (end < word.size() && is_continuation_byte(word[end])) --end;
    std::optional<TokenId> id;
    for (; end > begin; end = previous_character(word, end)) {
      candidate = begin > 0 ? prefix_ : "";
      candidate += word.substr(begin, end - begin);
      if ((id = find(candidate))) break;
    }
    if (!id) {
      begin = std::string_view::npos;
      break;
    }
    ids.push_back(*id);
    begin = end;
  }
  if (begin != std::string_view::npos) return;
  ids.resize(first);
  ids.push_back(unknown_id());
}

}  // namespace lockstep::text
