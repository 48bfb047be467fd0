#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: launch/gpu_check.sh [--help]

Checks on a machine with NVIDIA GPUs what other machines cannot. Run launch/setup.sh and launch/build.sh before it. It
takes less than 8 minutes, works in build/gpu_check, and exits with 1 if a check fails or if there is no GPU.

  parity      compares logits, losses, gradients and answers of random models of every family on a GPU with transformers
              on the host, and the losses of rows and of training steps on a GPU with those on the host
  nccl        runs NCCL's collectives, and trainings that must have the same losses, with 1 rank up to one per GPU
  streams     runs the same under compute-sanitizer, if it is installed, to check memory and the order of streams
  throughput  measures tokens per second and MFU of a GPT-2 of 124M parameters, on one GPU and on all

CUDA_VISIBLE_DEVICES chooses the GPUs.
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${LOCKSTEP_VENV:-$root/.venv}/bin/python
work=build/gpu_check
budget_s=470
failed=()

fail() {
  echo "launch/gpu_check.sh: error: $*" >&2
  exit 1
}

case ${1:-} in
  '') ;;
  -h | --help)
    usage
    exit 0
    ;;
  *) fail "unknown argument '$1'; see --help" ;;
esac

# check SECONDS NAME COMMAND ...: runs it, prints how it went, and goes on. Its output goes to a file, which a failure
# shows the end of.
check() {
  local limit=$1 name=$2 log started=$SECONDS left=$((budget_s - SECONDS))
  shift 2
  log=$work/${name// /_}.log
  if ((left < limit)); then limit=$((left > 1 ? left : 1)); fi
  if timeout "$limit" "$@" >"$log" 2>&1; then
    printf 'ok      %s (%d s)\n' "$name" $((SECONDS - started))
  else
    printf 'FAILED  %s (%d s): %s\n' "$name" $((SECONDS - started)) "$*"
    tail -n 20 "$log" | sed 's/^/        /'
    failed+=("$name")
  fi
}

# train RANKS OUTPUT [KEY=VALUE ...]: some steps of the example of SCAN.
train() {
  local ranks=$1 output=$2
  shift 2
  launch/mpirun.sh -n "$ranks" build/bin/lockstep train examples/jobs/scan-t5.yaml prepared_dir="$work/scan" \
    output_dir="$output" overwrite_output_dir=true max_steps=10 logging_steps=1 evaluation_strategy=no "$@"
}

same_training() {
  local ranks=$1 output=$work/scan-$1-gpus
  train "$ranks" "$output" device=cuda
  "$python" launch/gpu_report.py same-losses "$output" "$work/scan-cpu" --relative 1e-3
}

same_row_losses() {
  local device
  for device in cpu cuda; do
    build/bin/lockstep evaluate --model tests/fixtures/models/stories260k --dataset examples/data/nl2bash/test.jsonl \
      --output "$work/losses-$device.jsonl" --device "$device" --model-max-length 256
  done
  "$python" - "$work" <<'PYTHON'
import json, pathlib, sys
cpu, cuda = ([json.loads(line)["loss_sum"] for line in (pathlib.Path(sys.argv[1]) / f"losses-{device}.jsonl").open()] for device in ("cpu", "cuda"))
difference = max(abs(a - b) / max(abs(a), 1) for a, b in zip(cpu, cuda, strict=True))
print(f"{len(cpu)} rows, losses differ by {difference:.1e} at most")
sys.exit(difference > 1e-4)
PYTHON
}

# A GPT-2 of 124M parameters, without dropout, and rows that fill its 1024 positions.
make_gpt2() {
  mkdir -p "$work/gpt2"
  cp examples/models/nl2bash-gpt2/{vocab.json,merges.txt,tokenizer_config.json} "$work/gpt2"
  "$python" - "$work" <<'PYTHON'
import json, pathlib, sys
work, examples = pathlib.Path(sys.argv[1]), pathlib.Path("examples")
config = json.loads((examples / "models/nl2bash-gpt2/config.json").read_text())
config |= {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
config |= {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
(work / "gpt2/config.json").write_text(json.dumps(config))
commands = [json.loads(line)["model_output"] for line in (examples / "data/nl2bash/train.jsonl").open()]
with (work / "long.jsonl").open("w") as rows:
    for row in range(64):
        text = " ; ".join(commands[(row * 40 + i) % len(commands)] for i in range(300))
        rows.write(json.dumps({"model_input": "commands:", "model_output": text}) + "\n")
PYTHON
  cat >"$work/gpt2.yaml" <<JOB
pretrained_model_name: $work/gpt2
has_encoder: false
from_scratch: true
model_max_length: 1024
training_datasets: [$work/long.jsonl]
prepared_dir: $work/gpt2-prepared
max_steps: 25
per_device_train_batch_size: 8
learning_rate: 1.0e-4
evaluation_strategy: no
JOB
  build/bin/lockstep-prep "$work/gpt2.yaml" overwrite_output_dir=true
}

throughput() {
  local ranks=$1 output=$work/gpt2-$1-gpus
  launch/mpirun.sh -n "$ranks" build/bin/lockstep train "$work/gpt2.yaml" device=cuda output_dir="$output" \
    overwrite_output_dir=true
  "$python" launch/gpu_report.py throughput "$output" --gpus "$ranks" --name "$gpu_name"
}

# Memory that belongs to the order of streams is what its races are looked for in.
sanitized() {
  PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync compute-sanitizer --tool memcheck --track-stream-ordered-races all \
    --target-processes all --error-exitcode 9 "$@"
}

cd "$root"
[[ -x $python ]] || fail "no $python; run launch/setup.sh first"
gpus=$("$python" -c 'import torch; print(torch.cuda.device_count())')
[[ $gpus -gt 0 ]] || fail "expected an NVIDIA GPU, found none: run this where nvidia-smi lists one, and see CUDA_VISIBLE_DEVICES"
gpu_name=$("$python" -c 'import torch; print(torch.cuda.get_device_name())')
for program in lockstep lockstep-prep model_probe nccl_ranks; do
  [[ -x build/bin/$program ]] || fail "no build/bin/$program; run launch/build.sh first"
done
mkdir -p "$work"
export -f train same_training same_row_losses make_gpt2 throughput sanitized
export work python gpu_name
counts=$(printf '%s\n' 1 2 "$gpus" | sort -nu | awk -v gpus="$gpus" '$1 <= gpus')
printf '%s x %s\n' "$gpus" "$gpu_name"

parity_environment=(env LOCKSTEP_DEVICE=cuda LOCKSTEP_CASES=1 LOCKSTEP_BIN="$root/build/bin" HF_HUB_OFFLINE=1)
check 150 'parity with transformers' "${parity_environment[@]}" \
  "$python" -m pytest -q -p no:cacheprovider tests/oracle/models.py -k 'equals_transformers or pretrained'
check 60 'parity of row losses' bash -euo pipefail -c same_row_losses
check 60 'preparation' build/bin/lockstep-prep examples/jobs/scan-t5.yaml prepared_dir="$work/scan" overwrite_output_dir=true
check 60 'training on the host' bash -euo pipefail -c "train 1 '$work/scan-cpu' device=cpu"
for ranks in $counts; do
  check 60 "nccl with $ranks ranks" launch/mpirun.sh -n "$ranks" build/bin/nccl_ranks
  check 60 "training on $ranks GPUs against the host" bash -euo pipefail -c "same_training $ranks"
done
if command -v compute-sanitizer >/dev/null; then
  check 90 'streams of nccl' bash -euo pipefail -c "sanitized launch/mpirun.sh -n 1 build/bin/nccl_ranks --small"
  check 90 'streams of a training' bash -euo pipefail -c \
    "sanitized build/bin/lockstep train examples/jobs/scan-t5.yaml prepared_dir='$work/scan' output_dir='$work/scan-sanitized' \
     overwrite_output_dir=true max_steps=2 evaluation_strategy=no device=cuda"
else
  echo 'skipped streams: no compute-sanitizer (CUDA toolkit)'
fi
check 60 'throughput: preparation' bash -euo pipefail -c make_gpt2
for ranks in $(printf '%s\n' 1 "$gpus" | sort -nu); do
  name="throughput on $ranks GPUs"
  check 90 "$name" bash -euo pipefail -c "throughput $ranks"
  grep 'tokens/s' "$work/${name// /_}.log" || true
done

[[ ${#failed[@]} -eq 0 ]] || fail "${#failed[@]} checks failed, see $work/*.log"
echo "all right, in $SECONDS s"
