#include "text/unicode/legacy_unicode.h"

#include <unicode/uchar.h>

#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

bool exists_in(char32_t code_point, unsigned version) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(code_point), age);
  return age[0] > 0 && age[0] <= version;
}

bool has_category(char32_t code_point, std::uint32_t mask) {
  return (U_MASK(u_charType(static_cast<UChar32>(code_point))) & mask) != 0;
}

}  // namespace

bool is_numeric(char32_t code_point) {
  const bool is_new =  // added in Unicode 17
      (code_point >= 0x11DE0 && code_point <= 0x11DE9) || (code_point >= 0x16FF4 && code_point <= 0x16FF6);
  return is_new || character_class(code_point) == CharacterClass::kNumber;
}

bool is_legacy_punctuation(char32_t code_point) {
  if (code_point < 0x80) return (has_category(code_point, U_GC_P_MASK | U_GC_S_MASK));
  if (code_point == 0x166D || code_point == 0x111C9) return true;  // their category has changed since
  return exists_in(code_point, 8) && has_category(code_point, U_GC_P_MASK);
}

bool is_legacy_mark(char32_t code_point) {
  if (code_point == 0x1CF2 || code_point == 0x1CF3) return true;
  return code_point != 0x111C9 && exists_in(code_point, 9) && has_category(code_point, U_GC_M_MASK);
}

bool is_legacy_nonspacing_mark(char32_t code_point) {
  return code_point != 0x111C9 && exists_in(code_point, 8) && has_category(code_point, U_GC_MN_MASK);
}

bool is_legacy_control(char32_t code_point) {
  return exists_in(code_point, 8) &&
         has_category(code_point, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK | U_GC_CO_MASK);
}

}  // namespace lockstep::text
