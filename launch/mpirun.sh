#!/usr/bin/env bash
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help || $# -eq 0 ]]; then
  cat <<'HELP'
Usage: launch/mpirun.sh [--help] [mpirun's own options] PROGRAM [ARGUMENT ...]
  e.g. launch/mpirun.sh -n 2 build/bin/lockstep train JOB.yaml

Runs mpirun with everything as given. Open MPI binds each of one or two ranks to a single core, however many the
machine has: unless --bind-to or --map-by is given, --bind-to none is added, and each rank takes its share of the cores.
As root, where Open MPI refuses to start and counts too few cores in a container, --allow-run-as-root --oversubscribe is
added, too. MPIRUN names another mpirun.
HELP
  [[ $# -gt 0 ]] && exit 0
  exit 2
fi

mpirun=${MPIRUN:-mpirun}
if ! command -v "$mpirun" >/dev/null; then
  echo "launch/mpirun.sh: error: '$mpirun' not found; run launch/setup.sh, or load your cluster's MPI module" >&2
  exit 127
fi
options=()
# Only Open MPI has these options.
if "$mpirun" --version 2>/dev/null | grep -q "Open MPI"; then
  if [[ $(id -u) -eq 0 ]]; then options+=(--allow-run-as-root --oversubscribe); fi
  if [[ " $* " != *" --bind-to "* && " $* " != *" --map-by "* ]]; then options+=(--bind-to none); fi
fi
exec "$mpirun" "${options[@]}" "$@"
