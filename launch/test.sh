#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: launch/test.sh [--all] [--help] [ctest's own options]
  e.g. launch/test.sh -R tokenizer

Sets up, builds and runs the tests; ctest's summary comes last, and its exit code is this script's.

  --all   also the long tests: LOCKSTEP_ALL_TESTS=1
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ctest_arguments=()
for argument in "$@"; do
  case $argument in
    --all) export LOCKSTEP_ALL_TESTS=1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) ctest_arguments+=("$argument") ;;
  esac
done

"$root/launch/setup.sh"
"$root/launch/build.sh"
exec ctest --test-dir "$root/build" --output-on-failure -j2 "${ctest_arguments[@]}"
