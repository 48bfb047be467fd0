#!/usr/bin/env python3
"""How much of the ranks' communication is hidden behind their computing, over a network of limited bandwidth.

    sudo .venv/bin/python bench/overlap.py

Two network namespaces, joined by a veth pair whose bandwidth `tc` limits, stand for two hosts; one rank runs in each, on a
core of its own. The bandwidth is chosen so that a step's gradients take 0.5 times and 1 times as long as computing it.
Printed is the step's time as a share of the longer of the two, and of their sum, which is what it would take without
overlap. Needs root, iproute2, and the Python environment of launch/setup.sh.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "cluster"))
from two_hosts import TwoHosts  # noqa: E402

TOKENIZER = ROOT / "examples" / "models" / "nl2bash-gpt2"
DATA = ROOT / "examples" / "data" / "nl2bash" / "train.jsonl"


def make_model(folder, width, layers):
    """A GPT-2 with random weights; the number of bytes of its gradients."""
    import torch
    import transformers

    torch.manual_seed(1)
    vocabulary = json.loads((TOKENIZER / "config.json").read_text())["vocab_size"]
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=vocabulary, n_positions=256, n_embd=width, n_layer=layers, n_head=width // 64, bos_token_id=0, eos_token_id=0))
    model.save_pretrained(folder)
    for file in TOKENIZER.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            shutil.copy(file, folder / file.name)
    return 4 * model.num_parameters()


def step_seconds(folder):
    lines = [json.loads(line) for line in open(folder / "metrics.jsonl", encoding="utf-8")]
    # The first steps measure the order of gradients and warm everything up.
    return statistics.median(line["seconds"] for line in lines if line["event"] == "step" and line["step"] > 3)


class Bench:
    def __init__(self, folder, hosts, lockstep, steps):
        self.folder, self.hosts, self.lockstep = folder, hosts, lockstep
        self.job = folder / "job.yaml"
        self.job.write_text(
            f"pretrained_model_name: {folder / 'model'}\nhas_encoder: false\ntraining_datasets: [{DATA}]\n"
            f"prepared_dir: {folder / 'prepared'}\nmax_steps: {steps}\nper_device_train_batch_size: 8\n"
            "evaluation_strategy: \"no\"\noverwrite_output_dir: true\n")
        subprocess.run([f"{lockstep}-prep", self.job], check=True, capture_output=True)
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def ranks(self, *keys):
        """Seconds of a step of two ranks, one on each host."""
        command = [*self.hosts.mpirun(), self.lockstep, "train", self.job, f"output_dir={self.folder / 'result'}", *keys]
        finished = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if finished.returncode != 0:
            sys.exit(finished.stderr)
        return step_seconds(self.folder / "result")

    def alone(self):
        """Seconds of a step of one rank, while another computes beside it."""
        runs = [subprocess.Popen([self.lockstep, "train", self.job, f"output_dir={self.folder / f'alone{i}'}"],
                                 env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in range(2)]
        if any(run.wait() for run in runs):
            sys.exit("a rank alone failed")
        return statistics.mean(step_seconds(self.folder / f"alone{i}") for i in range(2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", type=pathlib.Path, default=ROOT / "build" / "bin" / "lockstep", help="the program to measure")
    parser.add_argument("--width", type=int, default=512, help="of the model [512]")
    parser.add_argument("--layers", type=int, default=6, help="of the model [6]")
    parser.add_argument("--steps", type=int, default=12, help="of each run [12]")
    parser.add_argument("--bucket-mb", type=int, default=4, help="ddp_bucket_cap_mb [4]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, TwoHosts(name) as hosts:
        folder = pathlib.Path(name)
        size = make_model(folder / "model", arguments.width, arguments.layers)
        bench = Bench(folder, hosts, arguments.lockstep, arguments.steps)
        compute = bench.alone()
        print(f"gradients of {size / 1e6:.1f} MB; a step computes for {compute:.3f} s")
        print(f"{'messages':>10}{'optimizer_sharding':>20}{'step':>10}{'of the longer':>15}{'of the sum':>12}")
        for share in (0.5, 1.0):
            # Of a ring of two, each rank sends as many bytes as there are gradients.
            hosts.limit(size / (share * compute))
            for sharding in ("none", "state"):
                step = bench.ranks(f"optimizer_sharding={sharding}", f"ddp_bucket_cap_mb={arguments.bucket_mb}")
                longer, both = max(1, share) * compute, (1 + share) * compute
                print(f"{share * compute:>9.3f}s{sharding:>20}{step:>9.3f}s{step / longer:>15.2f}{step / both:>12.2f}", flush=True)
            hosts.unlimit()


if __name__ == "__main__":
    main()
