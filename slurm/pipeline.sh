#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: slurm/pipeline.sh [--prep "OPTIONS"] [--train "OPTIONS"] JOB.yaml [key=value ...]
       slurm/pipeline.sh --help
  e.g. slurm/pipeline.sh --prep "--array=0-7" --train "--nodes=2 --ntasks-per-node=4 --gpus-per-node=4" job.yaml

Submits slurm/prep.sbatch, and slurm/train.sbatch to start when the former has succeeded, with the same job and
overrides. The @FILE of a sweep goes only to training. If prep fails, Slurm cancels the training. Prints the numbers of
the two jobs.

  --prep "OPTIONS"   options of sbatch for prep
  --train "OPTIONS"  options of sbatch for training

The variables of the scripts, such as LOCKSTEP_BIN, are passed on; see their --help.
HELP
}

slurm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prep_options=()
train_options=()

fail() {
  echo "slurm/pipeline.sh: error: $*" >&2
  exit 1
}

while [[ $# -gt 0 ]]; do
  case $1 in
    --prep | --train)
      [[ $# -gt 1 ]] || fail "$1: expected options of sbatch, found none"
      if [[ $1 == --prep ]]; then read -ra prep_options <<<"$2"; else read -ra train_options <<<"$2"; fi
      shift 2
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*) fail "unknown option '$1'; see --help" ;;
    *) break ;;
  esac
done
[[ $# -gt 0 ]] || fail "expected a job file, found none; see --help"
[[ -r $1 ]] || fail "$1: expected a job file, found none in $PWD"
command -v sbatch >/dev/null || fail "sbatch not found: run this on a login node of a cluster with Slurm"

prep_arguments=()
for argument in "$@"; do
  if [[ $argument != @* ]]; then prep_arguments+=("$argument"); fi
done

prep=$(sbatch --parsable "${prep_options[@]}" "$slurm/prep.sbatch" "${prep_arguments[@]}") ||
  fail "prep was not submitted; see sbatch's message above"
prep=${prep%%;*}
echo "prep:  job $prep"
train_options=(--dependency="afterok:$prep" --kill-on-invalid-dep=yes "${train_options[@]}")
train=$(sbatch --parsable "${train_options[@]}" "$slurm/train.sbatch" "$@") || {
  scancel "$prep" || true
  fail "training was not submitted, and prep (job $prep) is cancelled; see sbatch's message above"
}
echo "train: job ${train%%;*}, when job $prep has succeeded"
