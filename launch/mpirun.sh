#!/usr/bin/env bash
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help || $# -eq 0 ]]; then
  cat <<'HELP'
Usage: launch/mpirun.sh [--help] [mpirun's own options] PROGRAM [ARGUMENT ...]
  e.g. launch/mpirun.sh -n 2 build/bin/lockstep train JOB.yaml

Runs mpirun with everything as given. As root, where Open MPI refuses to start and counts too few cores in a
container, it adds --allow-run-as-root --oversubscribe. MPIRUN names another mpirun.
HELP
  [[ $# -gt 0 ]] && exit 0
  exit 2
fi

mpirun=${MPIRUN:-mpirun}
if ! command -v "$mpirun" >/dev/null; then
  echo "launch/mpirun.sh: error: '$mpirun' not found; run launch/setup.sh, or load your cluster's MPI module" >&2
  exit 127
fi
as_root=()
# Only Open MPI has these two options.
if [[ $(id -u) -eq 0 ]] && "$mpirun" --version 2>/dev/null | grep -q "Open MPI"; then
  as_root=(--allow-run-as-root --oversubscribe)
fi
exec "$mpirun" "${as_root[@]}" "$@"
