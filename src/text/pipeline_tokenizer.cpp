#include "text/pipeline_tokenizer.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"
#include "text/components/metaspace.h"
#include "text/models/byte_alphabet.h"
#include "text/models/word_cache.h"

namespace lockstep::text {

// The buffers that one thread reuses from text to text. The cache belongs to the tokenizer that the thread used last.
struct PipelineTokenizer::Workspace {
  std::uint64_t owner = 0;
  WordCache cache;
  NormalizedText normalized;
  std::string marked;  // a range whose blanks are marked
  Pieces pieces;
  std::string spelled;  // a word in the byte alphabet
};

PipelineTokenizer::PipelineTokenizer(Settings settings, Components components)
    : Tokenizer(std::move(settings)),
      components_(std::move(components)),
      raw_(components_.added_tokens, false, nullptr, components_.splits_special_tokens),
      normalized_(components_.added_tokens, true, components_.normalizer.get(), components_.splits_special_tokens),
      number_(++created) {}

PipelineTokenizer::Workspace& PipelineTokenizer::workspace() const {
  thread_local Workspace work;
  if (work.owner != number_) {
    work.owner = number_;
    work.cache.clear();
  }
  return work;
}

void PipelineTokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  if (const auto offset = core::find_invalid_utf8(text)) {
    throw InputError(fmt::format("expected UTF-8 text, found the byte 0x{:02x} at offset {}; convert the text to UTF-8",
                                 static_cast<unsigned char>(text[*offset]), *offset));
  }
  Workspace& work = workspace();
  raw_.split(
      text,
      [&](std::size_t begin, std::size_t end) {
        encode_range(text.substr(begin, end - begin), begin == 0 ? 1 : 0, work, ids);
      },
      [&](const AddedToken& token) { ids.push_back(token.id); });
}

void PipelineTokenizer::encode_range(std::string_view text, std::size_t origin_end, Workspace& work,
                                     std::vector<TokenId>& ids) const {
  if (components_.normalizer) {
    work.normalized.text.assign(text);
    work.normalized.origin_end = origin_end;
    work.normalized.largest = max_output_bytes(text.size());
    components_.normalizer->apply(work.normalized);
    text = work.normalized.text;
    origin_end = work.normalized.origin_end;
  }
  normalized_.split(
      text,
      [&](std::size_t begin, std::size_t end) {
        std::string_view range = text.substr(begin, end - begin);
        if (components_.blank_marker) {
          components_.blank_marker->apply(range, work.marked);
          range = work.marked;
        }
        work.pieces.reset(range, origin_end > begin ? origin_end - begin : 0);
        components_.pre_tokenizers.apply(work.pieces);
        for (std::size_t i = 0; i < work.pieces.size(); ++i) encode_piece(work.pieces[i], work, ids);
      },
      [&](const AddedToken& token) { ids.push_back(token.id); });
}

void PipelineTokenizer::encode_piece(std::string_view piece, Workspace& work, std::vector<TokenId>& ids) const {
  if (!components_.model->separable_at_blanks()) {
    encode_word(piece, work, ids);
    return;
  }
  while (!piece.empty()) {
    const std::size_t end = first_word_bytes(piece);
    encode_word(piece.substr(0, end), work, ids);
    piece.remove_prefix(end);
  }
}

void PipelineTokenizer::encode_word(std::string_view word, Workspace& work, std::vector<TokenId>& ids) const {
  const auto encode = [&](std::string_view new_word, std::vector<TokenId>& new_ids) {
    if (components_.pre_tokenizers.ends_in_byte_alphabet) {
      work.spelled.clear();
      append_in_byte_alphabet(new_word, work.spelled);
      new_word = work.spelled;
    }
    components_.model->encode(new_word, new_ids);
  };
  if (word.size() <= WordCache::kLongestWord) {
    work.cache.append(word, ids, encode);
  } else {
    encode(word, ids);
  }
}

std::string PipelineTokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  const auto is_special = [&](std::string_view text) {
    const AddedToken* added = components_.added_tokens.find(text);
    return added != nullptr && added->special;
  };
  for (const TokenId id : ids) {
    std::string text;
    if (const AddedToken* added = components_.added_tokens.find(id)) {
      text = normalized_.form_of(*added);
    } else if (const auto token = components_.model->token(id)) {
      text = *token;
    } else {
      continue;
    }
    if (!skip_special_tokens || !is_special(text)) tokens.push_back(std::move(text));
  }
  if (tokens.empty()) return "";
  if (!components_.decoder) return fmt::format("{}", fmt::join(tokens, " "));
  components_.decoder->apply(tokens);
  return fmt::format("{}", fmt::join(tokens, ""));
}

std::string PipelineTokenizer::token(TokenId id) const {
  if (const AddedToken* added = components_.added_tokens.find(id)) return added->content;
  if (const auto token = components_.model->token(id)) return std::string(*token);
  throw Error(fmt::format("token id {} is not in the vocabulary", id));
}

}  // namespace lockstep::text
