#include "text/unicode/grapheme.h"

#include <unicode/uchar.h>

#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

enum class Break { kOther, kControl, kPrepend, kExtend };

Break break_class(char32_t code_point) {
  switch (u_getIntPropertyValue(static_cast<UChar32>(code_point), UCHAR_GRAPHEME_CLUSTER_BREAK)) {
    case U_GCB_CONTROL:
    case U_GCB_CR:
    case U_GCB_LF:
      return Break::kControl;
    case U_GCB_PREPEND:
      return Break::kPrepend;
    case U_GCB_EXTEND:
    case U_GCB_SPACING_MARK:
    case U_GCB_ZWJ:
      return Break::kExtend;
    default:  // ICU may be older than the character
      return u_charType(static_cast<UChar32>(code_point)) == U_UNASSIGNED &&
                     character_class(code_point) == CharacterClass::kMark
                 ? Break::kExtend
                 : Break::kOther;
  }
}

}  // namespace

std::size_t short_grapheme_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin;
  const char32_t first = next_code_point(text, end);
  if (first == '\r') return end < text.size() && text[end] == '\n' ? end + 1 : end;
  if (end == text.size() || (is_ascii(text[begin]) && is_ascii(text[end]))) return end;
  Break last = break_class(first);
  while (end < text.size() && last != Break::kControl) {
    std::size_t next = end;
    const Break here = break_class(next_code_point(text, next));
    if (here == Break::kControl || (here != Break::kExtend && last != Break::kPrepend)) break;
    last = here;
    end = next;
  }
  return end;
}

}  // namespace lockstep::text
