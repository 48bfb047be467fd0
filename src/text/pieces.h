#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text_pattern.h"

namespace lockstep {

/// A text and the stretches of it that are words so far; none of them is empty. Kept and reused by one thread, so that
/// a text costs no allocation.
class Pieces {
 public:
  /// One piece, all of `text`, which must outlive the next reset(). `at_origin`: it begins where the user's text does.
  void reset(std::string_view text, bool at_origin) {
    text_ = text;
    at_origin_ = at_origin;
    ranges_.clear();
    if (!text.empty()) ranges_.push_back({0, text.size()});
  }

  std::size_t size() const { return ranges_.size(); }
  std::string_view operator[](std::size_t i) const {
    return text_.substr(ranges_[i].begin, ranges_[i].end - ranges_[i].begin);
  }
  bool at_origin(std::size_t i) const { return at_origin_ && i == 0 && ranges_[0].begin == 0; }

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
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      const std::size_t begin = next_buffer_.size();
      append((*this)[i], at_origin(i), next_buffer_);
      if (next_buffer_.size() > begin) next_ranges_.push_back({begin, next_buffer_.size()});
    }
    at_origin_ = !ranges_.empty() && at_origin(0);
    buffer_.swap(next_buffer_);
    ranges_.swap(next_ranges_);
    text_ = buffer_;
  }

 private:
  std::string_view text_;
  std::string buffer_, next_buffer_;
  std::vector<TextRange> ranges_, next_ranges_;
  bool at_origin_ = false;
};

}  // namespace lockstep
