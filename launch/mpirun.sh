#!/usr/bin/env bash
# shellcheck disable=SC2317  # traps call its functions
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help || $# -eq 0 ]]; then
  cat <<'HELP'
Usage: launch/mpirun.sh [--help] [options of mpirun] PROGRAM [ARGUMENT ...]
  e.g. launch/mpirun.sh -n 2 build/bin/lockstep train JOB.yaml
       launch/mpirun.sh --hostfile HOSTS -n 16 build/bin/lockstep train JOB.yaml
       (HOSTS has one line per machine, e.g. "node1 slots=8"; ssh must reach each without a password, and all must have
       the same paths)

Runs mpirun with the given arguments. Open MPI binds one or two ranks to a single core each, however many cores the
machine has. Unless --bind-to or --map-by is given, this script therefore adds --bind-to none, so that each rank takes
its share of the cores. Open MPI refuses to start as root, and counts too few cores in a container; as root, the script
also adds --allow-run-as-root --oversubscribe. The variable MPIRUN names another mpirun.

SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 ask the ranks to stop: lockstep train saves a checkpoint and exits with 85, which
means that the same command continues the run. A second SIGINT ends the ranks at once. Open MPI's mpirun by itself would
kill the ranks one second after SIGTERM or SIGINT, so the ranks receive SIGUSR1.
HELP
  [[ $# -gt 0 ]] && exit 0
  exit 2
fi

mpirun=${MPIRUN:-mpirun}
if ! command -v "$mpirun" >/dev/null; then
  echo "launch/mpirun.sh: error: '$mpirun' not found; run launch/setup.sh, or load your cluster's MPI module" >&2
  exit 127
fi
# What follows is of Open MPI.
"$mpirun" --version 2>/dev/null | grep -q "Open MPI" || exec "$mpirun" "$@"

options=()
if [[ $(id -u) -eq 0 ]]; then options+=(--allow-run-as-root --oversubscribe); fi
if [[ " $* " != *" --bind-to "* && " $* " != *" --map-by "* ]]; then options+=(--bind-to none); fi

# mpirun's odls_base_sigkill_timeout would not do: it is slept through even if the ranks have long ended, and the exit
# code is 1. What is forwarded is SIGUSR1, so it may neither receive a terminal's SIGINT, nor outlive this script.
child=
interrupts=0
forward() { [[ -z $child ]] || kill -"$1" "$child" 2>/dev/null || true; }
interrupt() {
  interrupts=$((interrupts + 1))
  if ((interrupts == 1)); then forward USR1; else forward TERM; fi
}
trap 'forward USR1' TERM USR1
trap interrupt INT

launcher=()
if command -v setsid >/dev/null; then launcher+=(setsid); fi
if setpriv --pdeathsig TERM true 2>/dev/null; then launcher+=(setpriv --pdeathsig TERM); fi
if [[ -t 0 ]]; then exec </dev/null; fi
"${launcher[@]}" "$mpirun" "${options[@]}" "$@" <&0 &
child=$!
# Interrupted by a signal, wait returns while mpirun still runs.
while true; do
  code=0
  wait "$child" || code=$?
  kill -0 "$child" 2>/dev/null || break
done
# The code of an mpirun that ended in that very moment.
again=0
wait "$child" 2>/dev/null || again=$?
if ((again != 127)); then code=$again; fi
exit "$code"
