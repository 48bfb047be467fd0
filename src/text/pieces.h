#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text_growth.h"
#include "text_pattern.h"

namespace lockstep {

/// A text and the stretches of it that are words so far; none of them is empty. Kept and reused by one thread, so that
/// a text costs no allocation.
class Pieces {
 public:
  /// One piece, all of `text`, which must outlive the next reset(). What begins before `origin_end` stems from the
  /// first character of the user's text.
  void reset(std::string_view text, std::size_t origin_end) {
    text_ = text;
    origin_end_ = origin_end;
    largest_ = largest_growth(text.size());
    ranges_.clear();
    if (!text.empty()) ranges_.push_back({0, text.size()});
  }

  std::size_t size() const { return ranges_.size(); }
  std::string_view operator[](std::size_t i) const {
    return text_.substr(ranges_[i].begin, ranges_[i].end - ranges_[i].begin);
  }
  bool at_origin(std::size_t i) const { return ranges_[i].begin < origin_end_; }

  /// Cuts every piece: `cut` (text of the piece, emit) calls emit(begin, end) for what becomes of it, in order.
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

  /// Rewrites every piece: `append` (its text, whether it is at the origin, out) appends the new text to `out`.
  template <typename Append>
  void rewrite(const Append& append) {
    next_buffer_.clear();
    next_ranges_.clear();
    std::size_t next_origin_end = 0;
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      const std::size_t begin = next_buffer_.size();
      if (at_origin(i)) next_origin_end = begin + 1;
      append((*this)[i], at_origin(i), next_buffer_);
      check_growth(next_buffer_.size(), largest_);
      if (next_buffer_.size() > begin) next_ranges_.push_back({begin, next_buffer_.size()});
    }
    origin_end_ = next_origin_end;
    buffer_.swap(next_buffer_);
    ranges_.swap(next_ranges_);
    text_ = buffer_;
  }

 private:
  std::string_view text_;
  std::string buffer_, next_buffer_;
  std::vector<TextRange> ranges_, next_ranges_;
  std::size_t origin_end_ = 0;
  std::size_t largest_ = 0;  // bytes that the text may become
};

}  // namespace lockstep
