#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockstep/text/components/text_pattern.h"
#include "text/output_limit.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {

/// A text and the ranges of it that are pieces so far, none of them empty. One thread keeps and reuses it, so that a
/// text costs no allocation.
class Pieces {
 public:
  /// Starts with one piece, all of `text`, which must stay valid until the next reset(). What begins before
  /// `origin_end` stems from the first character of the user's text.
  void reset(std::string_view text, std::size_t origin_end) {
    text_ = text;
    origin_end_ = origin_end;
    largest_ = max_output_bytes(text.size());
    ranges_.clear();
    if (!text.empty()) ranges_.push_back({0, text.size()});
  }

  std::size_t size() const { return ranges_.size(); }
  std::string_view operator[](std::size_t i) const {
    return text_.substr(ranges_[i].begin, ranges_[i].end - ranges_[i].begin);
  }
  bool at_origin(std::size_t i) const { return ranges_[i].begin < origin_end_; }

  /// Splits every piece: cut(text of the piece, emit) calls emit(begin, end) for each of its parts, in order.
  template <typename Cut>
  void split(const Cut& cut) {
    next_ranges_.clear();
    for (const TextRange& range : ranges_) {
      cut(text_.substr(range.begin, range.end - range.begin), [&](std::size_t begin, std::size_t end) {
        if (begin < end) next_ranges_.push_back({range.begin + begin, range.begin + end});
      });
    }
    ranges_.swap(next_ranges_);
  }

  /// Rewrites every piece to a prefix and the rewritten text. prefix(text, at_origin) returns the prefix, which counts
  /// as stemming from the piece's first character. append(text, out) appends the rewritten text and must treat each
  /// character independently.
  template <typename Prefix, typename Append>
  void rewrite(const Prefix& prefix, const Append& append) {
    next_buffer_.clear();
    next_ranges_.clear();
    std::size_t next_origin_end = 0;
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      const std::size_t begin = next_buffer_.size();
      const std::string_view text = (*this)[i];
      next_buffer_ += prefix(text, at_origin(i));
      const std::size_t origin = bytes_of_origin(i);
      append(text.substr(0, origin), next_buffer_);
      if (at_origin(i)) next_origin_end = next_buffer_.size();
      append(text.substr(origin), next_buffer_);
      check_growth(next_buffer_.size(), largest_);
      if (next_buffer_.size() > begin) next_ranges_.push_back({begin, next_buffer_.size()});
    }
    origin_end_ = next_origin_end;
    buffer_.swap(next_buffer_);
    ranges_.swap(next_ranges_);
    text_ = buffer_;
  }

 private:
  // Returns the size of those characters of piece i that begin before the end of the origin.
  std::size_t bytes_of_origin(std::size_t i) const {
    if (!at_origin(i)) return 0;
    const std::string_view text = (*this)[i];
    std::size_t bytes = std::min(origin_end_ - ranges_[i].begin, text.size());
    while (bytes < text.size() && is_continuation_byte(text[bytes])) ++bytes;
    return bytes;
  }

  std::string_view text_;
  std::string buffer_, next_buffer_;
  std::vector<TextRange> ranges_, next_ranges_;
  std::size_t origin_end_ = 0;
  std::size_t largest_ = 0;  // limit for the size of the text, in bytes
};

}  // namespace lockstep::text
