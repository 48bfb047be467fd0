#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: launch/test.sh [--all] [--help] [ctest's own options]
  e.g. launch/test.sh -R tokenizer

Sets up, builds and runs the tests; ctest's summary comes last, and its exit code is this script's.

  --all   20 random cases of each comparison with transformers instead of 2 (LOCKSTEP_CASES, LOCKSTEP_ROWS), and the
          tests of a real model, SmolLM2-135M-Instruct, whose weights it downloads once (93 MB)
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ctest_arguments=()
for argument in "$@"; do
  case $argument in
    --all)
      export LOCKSTEP_CASES=20 LOCKSTEP_ROWS=200
      ctest_arguments+=(-C All)
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) ctest_arguments+=("$argument") ;;
  esac
done

"$root/launch/setup.sh"
"$root/launch/build.sh"
# Two cores, and a place for what waits more than it computes.
exec ctest --test-dir "$root/build" --output-on-failure -j3 "${ctest_arguments[@]}"
