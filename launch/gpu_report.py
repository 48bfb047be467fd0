#!/usr/bin/env python3
"""What launch/gpu_check.sh says of trainings, from their metrics.jsonl.

    gpu_report.py same-losses RUN OTHER_RUN --relative 1e-4     ends with 1 if the losses of any step differ by more
    gpu_report.py throughput RUN --gpus N --name "NVIDIA A100"  tokens a second, TFLOP/s and MFU of a GPT-2
"""

import argparse
import json
import pathlib
import statistics
import sys

# Dense fp32 TFLOP/s outside tensor cores, of NVIDIA's data sheets: fp32 is what is computed in.
PEAK_TFLOPS = {"GH200": 67, "H200": 67, "H100 PCIe": 51, "H100": 67, "A100": 19.5, "L40S": 91.6, "V100": 15.7, "A10": 31.2, "T4": 8.1}
WARM_UP_STEPS = 5


def steps_of(run):
    lines = map(json.loads, (pathlib.Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == "step"]


def largest_difference(steps, other_steps):
    """Of the losses, relative to them."""
    if not steps or [line["step"] for line in steps] != [line["step"] for line in other_steps]:
        raise SystemExit(f"expected the same steps, found {len(steps)} and {len(other_steps)}")
    return max(abs(a["loss"] - b["loss"]) / abs(b["loss"]) for a, b in zip(steps, other_steps))


def flops_per_token(config, length):
    """Forward and backward: 6 for each weight that multiplies, and 12 x layers x features x length for attention
    (Chowdhery et al. 2022, PaLM, appendix B)."""
    layers, features = config["n_layer"], config["n_embd"]
    weights = 12 * layers * features**2 + config["vocab_size"] * features
    return 6 * weights + 12 * layers * features * length


def peak_tflops(name):
    """None if the GPU is not known."""
    return next((peak for known, peak in PEAK_TFLOPS.items() if all(word in name for word in known.split())), None)


def describe_throughput(steps, config, length, gpus, name):
    if len(steps) <= WARM_UP_STEPS:
        raise SystemExit(f"expected more than {WARM_UP_STEPS} steps, found {len(steps)}")
    rate = statistics.median(line["tokens"] / line["seconds"] for line in steps[WARM_UP_STEPS:])
    teraflops = rate * flops_per_token(config, length) / 1e12
    text = f"{rate:.0f} tokens/s on {gpus} x {name}, {teraflops:.1f} TFLOP/s"
    peak = peak_tflops(name)
    return text + (f", MFU {100 * teraflops / (peak * gpus):.1f} % of {peak} TFLOP/s in fp32" if peak else ", MFU unknown: no peak known")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    same = commands.add_parser("same-losses")
    same.add_argument("run")
    same.add_argument("other")
    same.add_argument("--relative", type=float, required=True)
    throughput = commands.add_parser("throughput")
    throughput.add_argument("run")
    throughput.add_argument("--length", type=int, default=1024)
    throughput.add_argument("--gpus", type=int, required=True)
    throughput.add_argument("--name", required=True)
    arguments = parser.parse_args()
    if arguments.command == "same-losses":
        difference = largest_difference(steps_of(arguments.run), steps_of(arguments.other))
        print(f"losses of {arguments.run} and {arguments.other} differ by {difference:.1e} at most, {arguments.relative:.0e} allowed")
        sys.exit(0 if difference <= arguments.relative else 1)
    config = json.loads((pathlib.Path(arguments.run) / "config.json").read_text(encoding="utf-8"))
    print(describe_throughput(steps_of(arguments.run), config, arguments.length, arguments.gpus, arguments.name))


if __name__ == "__main__":
    main()
