#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: tests/retry_once.sh LOG NAME COMMAND [ARGUMENT ...]
       tests/retry_once.sh --help

Runs the command of the test NAME, which measures time, and runs it a second time if it fails. The retry is recorded in a
line of the file LOG. The exit code is that of the last run.
HELP
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac
[[ $# -ge 3 ]] || {
  usage >&2
  exit 2
}
log=$1
name=$2
shift 2

"$@" && exit 0
echo "RETRIED: $name failed and is run a second time"
outcome="failed twice"
code=0
"$@" || code=$?
((code != 0)) || outcome="failed, and passed when it was run a second time"
mkdir -p "$(dirname "$log")"
echo "$name $outcome" >>"$log"
exit "$code"
