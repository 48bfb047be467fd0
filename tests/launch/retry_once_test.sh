#!/usr/bin/env bash
# retry_once_test.sh RETRY_ONCE_SH: it runs a command that fails a second time, and records that.
set -euo pipefail

retry_once=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
  echo "expected $*" >&2
  exit 1
}

"$retry_once" log good true
[[ ! -e log ]] || fail "no record of a test that passes"
# Fails only the first time, when it makes the file.
"$retry_once" log shaky bash -c '! (set -o noclobber && : >once) 2>/dev/null' >/dev/null || fail "success after a retry"
! "$retry_once" log bad false >/dev/null || fail "a failure where both runs fail"
diff log - <<'LINES' || fail "these records"
shaky failed, and passed when it was run a second time
bad failed twice
LINES
