#pragma once

#include <string_view>

namespace lockstep {

/// U+2581, the visible blank of SentencePiece's vocabularies.
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";

}  // namespace lockstep
