#pragma once

#include <filesystem>
#include <memory>

#include "lockstep/data/dataset.h"

namespace lockstep {

/// Reads a CSV file (RFC 4180, with a header row) as a stream of blocks. Cells may hold quoted newlines; an unquoted
/// empty cell counts as missing, a quoted one as empty text; other columns are ignored.
std::unique_ptr<RowReader> open_csv(const std::filesystem::path& path);

}  // namespace lockstep
