#!/usr/bin/env bash
# clang_format.sh CLANG_FORMAT ROOT: fails where clang-format would change a source file, and names the place.
set -euo pipefail

clang_format=$1
cd "$2"
find src include data_prep tests examples bench \( -name '*.cpp' -o -name '*.h' \) -print0 2>/dev/null |
  xargs -0 "$clang_format" --dry-run -Werror
