#!/usr/bin/env python3
"""Measures how much of the ranks' communication is hidden by computation, over a network of limited bandwidth.

    sudo .venv/bin/python bench/overlap.py

Two network namespaces, joined by a veth pair whose bandwidth `tc` limits, stand for two hosts; one rank runs in each, on a
core of its own. The bandwidth is chosen so that a step's messages take 0.5 times and 1 times as long as its computation.
The latter is measured before each bandwidth, because machines do not keep their pace, with two independent runs of one
rank, which compute the same micro-batches without messages. Gradients of `none` and `state` are sent during backward, two
thirds of the computation: at 1 times, 1.33 and 1.17 of the longer of the two is the best that is possible, while `full`
sends all the time. The output is the step's time as a share of the longer of the two, and of their sum, which a step
without overlap would take. On an unlimited link, what exceeds 1 is the CPU time for messages. The last columns compare
with the prediction of `lockstep plan` for the limited links, to which the CPU time from the unlimited link is added.
Needs root, iproute2, and the Python environment of launch/setup.sh.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "cluster"))
from ddp import make_model  # noqa: E402
from two_hosts import TwoHosts  # noqa: E402

DATA = ROOT / "examples" / "data" / "nl2bash" / "train.jsonl"


# Passes of all parameters or gradients around the ring per step, by optimizer_sharding: docs/cost_model.md.
RINGS = {"none": 2, "state": 2, "full": 3}
MAX_TOKENS = 16384  # a rank's half of a batch is one micro-batch
PAYLOAD = 1448 / 1514  # share of an Ethernet frame of TCP


def step_seconds(folder):
    """Returns the mean, because all runs have the same global batches."""
    lines = [json.loads(line) for line in open(folder / "metrics.jsonl", encoding="utf-8")]
    # The first steps determine the order of the gradients and warm everything up.
    return statistics.mean(line["seconds"] for line in lines if line["event"] == "step" and line["step"] > 3)


class Bench:
    def __init__(self, folder, hosts, lockstep, steps, rows):
        self.folder, self.hosts, self.lockstep = folder, hosts, lockstep
        self.job = folder / "job.yaml"
        self.job.write_text(
            f"pretrained_model_name: {folder / 'model'}\nhas_encoder: false\ntraining_datasets: [{DATA}]\n"
            f"prepared_dir: {folder / 'prepared'}\nmax_steps: {steps}\nper_device_train_batch_size: {rows}\n"
            f"global_batch_size: {2 * rows}\n"
            f"max_tokens_per_micro_batch: {MAX_TOKENS}\n"
            "evaluation_strategy: \"no\"\noverwrite_output_dir: true\n")
        subprocess.run([f"{lockstep}-prep", self.job], check=True, capture_output=True)
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def ranks(self, *keys):
        """Returns the seconds of a step of two ranks, one on each host."""
        command = [*self.hosts.mpirun(), self.lockstep, "train", self.job, f"output_dir={self.folder / 'result'}", *keys]
        finished = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if finished.returncode != 0:
            sys.exit(finished.stderr)
        return step_seconds(self.folder / "result")

    def alone(self, *keys):
        """Returns the seconds in which one rank computes half of a step while an independent one does the same."""
        runs = [subprocess.Popen([self.lockstep, "train", self.job, f"output_dir={self.folder / f'alone{i}'}", *keys],
                                 env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in range(2)]
        if any(run.wait() for run in runs):
            sys.exit("a rank alone failed")
        return statistics.mean(step_seconds(self.folder / f"alone{i}") for i in range(2)) / 2

    def planned(self, ranks, flops, bytes_per_second, *keys):
        """Returns what `lockstep plan` predicts: seconds of computation, and of a step, by optimizer_sharding."""
        printed = subprocess.run([self.lockstep, "plan", self.job, "--gpus", str(ranks), "--measured-flops", f"{flops:.6g}",
                                  "--link", f"{bytes_per_second * 8 / 1e6:.6g}Mb", *keys], check=True, capture_output=True, text=True).stdout
        rows = re.findall(r"^ +\d+  (\w+) .*? ([\d.]+) s +[\d.]+ s +([\d.]+) s ", printed, re.MULTILINE)
        return {name: (float(computes), float(step)) for name, computes, step in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", type=pathlib.Path, default=ROOT / "build" / "bin" / "lockstep", help="the program to measure")
    parser.add_argument("--width", type=int, default=256, help="of the model [256]")
    parser.add_argument("--layers", type=int, default=24, help="of the model [24]")
    parser.add_argument("--rows", type=int, default=128, help="of a rank in a step [128]")
    parser.add_argument("--steps", type=int, default=7, help="of each run [7]")
    parser.add_argument("--bucket-mb", type=int, default=1, help="ddp_bucket_cap_mb [1]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, TwoHosts(name) as hosts:
        folder = pathlib.Path(name)
        size = 4 * make_model("gpt2", folder / "model", arguments.width, arguments.layers)
        bench = Bench(folder, hosts, arguments.lockstep, arguments.steps, arguments.rows)
        bucket = f"ddp_bucket_cap_mb={arguments.bucket_mb}"
        # At 1 Gflop/s, the seconds are the Gflop of a step.
        work = bench.planned(1, 1e9, 1e12)["none"][0] * 1e9 / 2
        print(f"gradients of {size / 1e6:.1f} MB; a step computes {work / 1e9:.0f} Gflop")
        print(f"{'computing':>10}{'messages':>10}{'optimizer_sharding':>20}{'step':>10}{'of the longer':>15}{'of the sum':>12}"
              f"{'planned':>10}{'of that':>9}")
        beside = {}  # CPU seconds for messages
        for share in (0, 0.5, 1.0):
            compute = bench.alone()
            for sharding, rings in RINGS.items():
                # In a ring of two, each rank sends half.
                rate = rings * size / 2 / (share * compute) if share else 1e12
                if share:
                    hosts.limit(rate / PAYLOAD)
                planned = bench.planned(2, work / compute, rate, bucket)[sharding][1]
                step = bench.ranks(f"optimizer_sharding={sharding}", bucket)
                hosts.unlimit()
                longer, both = max(1, share) * compute, (1 + share) * compute
                beside.setdefault(sharding, step - planned)
                expected = planned + beside[sharding]
                print(f"{compute:>9.3f}s{share * compute:>9.3f}s{sharding:>20}{step:>9.3f}s{step / longer:>15.2f}{step / both:>12.2f}"
                      f"{expected:>9.3f}s{step / expected:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
