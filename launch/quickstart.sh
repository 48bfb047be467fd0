#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: launch/quickstart.sh [--fresh] [--ranks N] [--help]

Sets up, builds, and trains two small models from random weights on data in this repository, with N MPI ranks [2]:
  scan-t5        T5-type, on SCAN; then measures its loss and its exact match on 300 unseen rows
  nl2bash-gpt2   GPT-type, on nl2bash; the same with a shorter training
Everything goes into build/quickstart/. A model that is already trained is not trained again.

  --fresh   start over
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
results=build/quickstart
python=${LOCKSTEP_VENV:-$root/.venv}/bin/python
ranks=2
fresh=false

fail() {
  echo "launch/quickstart.sh: error: $*" >&2
  exit 1
}

while [[ $# -gt 0 ]]; do
  case $1 in
    --fresh) fresh=true ;;
    --ranks)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "--ranks: expected a number, found '${2:-}'"
      ranks=$2
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) fail "unknown argument '$1'; see --help" ;;
  esac
  shift
done

# Prints a command as a user would type it, and runs it.
run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

# What a finished training depends on; a changed job, model or dataset trains anew.
inputs_digest() {
  local name=$1 data=${1%-*}
  cat "examples/jobs/$name.yaml" "examples/models/$name"/* "examples/data/$data"/*.jsonl | sha256sum
}

train() {
  local name=$1 job=examples/jobs/$1.yaml folder=$results/$1
  local trained=$folder/trained.sha256 digest
  digest=$(inputs_digest "$name")
  if [[ -f $folder/model/model.safetensors && $(cat "$trained" 2>/dev/null) == "$digest" ]]; then
    printf '\n%s is already trained (--fresh starts over)\n' "$name"
    return 0
  fi
  rm -rf "$trained" "$folder/answers.jsonl" "$folder/losses.jsonl"
  run build/bin/lockstep-prep "$job" overwrite_output_dir=true
  run launch/mpirun.sh -n "$ranks" build/bin/lockstep train "$job" overwrite_output_dir=true
  echo "$digest" >"$trained"
}

# try NAME MAX_NEW_TOKENS: the trained model on its 300 unseen rows.
try() {
  local name=$1 folder=$results/$1 unseen=examples/data/${1%-*}/test.jsonl
  run launch/mpirun.sh -n "$ranks" build/bin/lockstep evaluate --model "$folder/model" --dataset "$unseen" \
    --output "$folder/losses.jsonl"
  run build/bin/lockstep generate --model "$folder/model" --input "$unseen" --output "$folder/answers.jsonl" \
    --max-new-tokens "$2" --batch-size 32
  run "$python" launch/exact_match.py "$folder/answers.jsonl"
}

cd "$root"
launch/setup.sh --no-tests
launch/build.sh --no-tests
if $fresh; then rm -rf "$results"; fi
started=$SECONDS

printf '\n== A T5-type model learns SCAN: instructions become actions ==\n'
train scan-t5
try scan-t5 64
printf '\n== A GPT-type model learns nl2bash: a sentence becomes a shell command, ended by EOS ==\n'
train nl2bash-gpt2
try nl2bash-gpt2 200

cat <<HELP

== Done in $((SECONDS - started)) s ==
Models     $results/scan-t5/model  $results/nl2bash-gpt2/model
Metrics    $results/scan-t5/model/metrics.jsonl, one line per step; the same for nl2bash-gpt2
Answers    $results/scan-t5/answers.jsonl

In Python, with transformers installed (launch/setup.sh does):
  from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
  model = AutoModelForSeq2SeqLM.from_pretrained("$results/scan-t5/model")   # nl2bash-gpt2: AutoModelForCausalLM
  tokenizer = AutoTokenizer.from_pretrained("$results/scan-t5/model")
HELP
