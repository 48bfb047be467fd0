#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: launch/test.sh [--all] [--help] [ctest's own options]
  e.g. launch/test.sh -R tokenizer

Sets up, builds and runs the tests; ctest's summary comes last, and its exit code is this script's. Tests that measure
time (ctest's label "timing") are run a second time if they fail; those that were are named before the summary.

  --all   20 cases of each comparison with transformers instead of 2 (LOCKSTEP_CASES, LOCKSTEP_ROWS), drawn at random
          instead of the same in every run (LOCKSTEP_SEED), and the tests of a real model, SmolLM2-135M-Instruct, whose
          weights it downloads once (93 MB)
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ctest_arguments=()
for argument in "$@"; do
  case $argument in
    --all)
      export LOCKSTEP_CASES=20 LOCKSTEP_ROWS=200 LOCKSTEP_SEED=${LOCKSTEP_SEED:-random}
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

retried=$root/build/Testing/retried.log
output=$root/build/Testing/output.log
rm -f "$retried"
mkdir -p "$root/build/Testing"
status=0
# Two cores, and a place for what waits more than it computes.
ctest --test-dir "$root/build" --output-on-failure --no-label-summary --output-log "$output" -j3 "${ctest_arguments[@]}" ||
  status=$?
if [[ -s $retried ]]; then
  printf '\nTests that measure time and were run a second time:\n'
  sed 's/^/  /' "$retried"
  sed -n '/ tests passed, /,$p' "$output"
fi
exit "$status"
