#!/usr/bin/env python3
"""Compares loading a model by `lockstep evaluate` on several ranks with safetensors in Python: time and memory per rank.

    bench/load.py --megabytes 500 --ranks 4

A Llama of random weights is written once in fp32 and once in bf16, and loaded, in turns, by

    lockstep        the ranks of mpirun, each of which loads the whole model: the time in the log, from the first to the
                    last rank
    lazy            as many Python processes, each with safetensors.torch.load_file(), which maps an fp32 file and reads
                    nothing of it
    copied          the same processes, which also copy each tensor as fp32, as a model that trains requires

The files are in the page cache. Memory is the maximum of a process's private memory (RssAnon of /proc/PID/status, which
excludes mapped files in the page cache), polled every 5 ms. It is given for the whole process, and without what a process
takes for a tiny model (libraries, MPI). One copy of the model is the size of its weights in fp32.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOKENIZER = ROOT / "tests" / "fixtures" / "models" / "stories260k"
WIDTH, INNER, TOKENS = 1024, 2816, 512
POLL_S = 0.005

# Waits for a line, loads the weights, and prints the seconds it took. argv: weights, "lazy" or "copied".
PEER = """
import sys, time
import torch
from safetensors.torch import load_file
print("ready", flush=True)
sys.stdin.readline()
start = time.perf_counter()
state = load_file(sys.argv[1])
if sys.argv[2] == "copied":
    state = {name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()}
print(time.perf_counter() - start, flush=True)
"""


def make_model(folder, layers, dtype):
    """Writes a Llama model, and returns the bytes of its weights in fp32."""
    import torch
    from safetensors.torch import save_file

    shutil.copytree(TOKENIZER, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.md"))
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=layers, num_attention_heads=16, num_key_value_heads=16)
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {"model.embed_tokens.weight": (TOKENS, WIDTH), "model.norm.weight": (WIDTH,)}
    for layer in range(layers):
        names = {"input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,), "mlp.gate_proj": (INNER, WIDTH),
                 "mlp.up_proj": (INNER, WIDTH), "mlp.down_proj": (WIDTH, INNER)}  # fmt: skip
        names.update({f"self_attn.{part}_proj": (WIDTH, WIDTH) for part in "qkvo"})
        shapes.update({f"model.layers.{layer}.{name}.weight": shape for name, shape in names.items()})
    generator = torch.Generator().manual_seed(1)
    state = {name: (0.02 * torch.randn(shape, generator=generator)).to(dtype) for name, shape in shapes.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return sum(4 * tensor.numel() for tensor in state.values())


def anonymous_bytes(process):
    """Returns the private memory of a process and of each of its descendants, by process id."""
    found, waiting = {}, [process]
    while waiting:
        pid = waiting.pop()
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            waiting += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue  # the process has ended
        if match := re.search(r"^RssAnon:\s*(\d+) kB", status, re.MULTILINE):
            found[pid] = 1024 * int(match.group(1))
    return found


def watch(process, peaks):
    while process.poll() is None:
        for pid, size in anonymous_bytes(process.pid).items():
            peaks[pid] = max(peaks.get(pid, 0), size)
        time.sleep(POLL_S)


class Bench:
    def __init__(self, folder, ranks, lockstep):
        self.folder, self.ranks, self.program = folder, ranks, lockstep
        self.rows = folder / "row.jsonl"
        self.rows.write_text('{"model_input": "Once", "model_output": "upon"}\n')

    def lockstep(self, model):
        """Returns the seconds and the bytes of the largest rank."""
        command = [ROOT / "launch" / "mpirun.sh", "-n", self.ranks, self.program, "evaluate", "--model", model, "--dataset", self.rows,
                   "--output", self.folder / "losses.jsonl"]  # fmt: skip
        peaks = {}
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=log)
            watch(process, peaks)
            log.seek(0)
            text = log.read()
        if process.returncode != 0:
            sys.exit(f"{self.program}: exit code {process.returncode}\n{text}")
        return float(re.search(r"MB read in ([\d.]+) s", text).group(1)), max(peaks.values())

    def python(self, model, how):
        command = [sys.executable, "-c", PEER, str(model / "model.safetensors"), how]
        processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(self.ranks)]
        for process in processes:
            process.stdout.readline()
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        seconds = [float(process.stdout.readline()) for process in processes]
        for process in processes:
            process.communicate()
        return max(seconds)


def compare(bench, model, copy_bytes, base, rounds):
    seconds = {"lockstep": [], "lazy": [], "copied": []}
    peak = 0
    for _ in range(rounds):
        taken, bytes_of_rank = bench.lockstep(model)
        peak = max(peak, bytes_of_rank)
        seconds["lockstep"].append(taken)
        for how in ["lazy", "copied"]:
            seconds[how].append(bench.python(model, how))
    print(f"\n{model.name}: {copy_bytes / 1e6:.0f} MB as fp32, {bench.ranks} ranks, median of {rounds}\n")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        ratio = "" if name == "lockstep" else f"{median / medians['lockstep']:>8.2f} x lockstep's"
        print(f"{name:<12}{median:>8.3f} s{ratio}")
    print(f"peak of a rank: {peak / 1e6:.0f} MB, {peak / copy_bytes:.2f} copies; without the {base / 1e6:.0f} MB of a tiny "
          f"model's process {(peak - base) / copy_bytes:.2f}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=500, help="size of the model as fp32 [500]")
    parser.add_argument("--ranks", type=int, default=4, help="[4]")
    parser.add_argument("--rounds", type=int, default=3, help="[3]")
    parser.add_argument("--lockstep", default=str(ROOT / "build" / "bin" / "lockstep"), help="the program to measure")
    arguments = parser.parse_args()
    import torch

    layer_bytes = 4 * (4 * WIDTH * WIDTH + 3 * WIDTH * INNER)
    layers = max(1, round(arguments.megabytes * 1e6 / layer_bytes))
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        folder = pathlib.Path(folder)
        bench = Bench(folder, arguments.ranks, arguments.lockstep)
        base = bench.lockstep(TOKENIZER)[1]
        for name, dtype in [("fp32", torch.float32), ("bf16", torch.bfloat16)]:
            copy_bytes = make_model(folder / name, layers, dtype)
            compare(bench, folder / name, copy_bytes, base, arguments.rounds)


if __name__ == "__main__":
    main()
