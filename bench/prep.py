#!/usr/bin/env python3
"""Compares lockstep-prep with its peers, interleaved in one run on the same cores: MB of text per second.

    bench/prep.py --megabytes 200

Rows of gsm8k, nl2bash and scan are repeated up to the requested size. It measures, with one core and with all:

    lockstep-prep   the whole process: start, reading JSON Lines, tokenizing, shards and checksums on disk
    tokenizers      Tokenizer.encode_batch over texts in memory, in batches of 1000
    sentencepiece   SentencePieceProcessor.encode over texts in memory, in batches of 1000 (T5)
    datasets        load_dataset("json") and map(batched=True): reading JSON Lines, tokenizing, Arrow on disk

Imports and the loading of tokenizers count for lockstep-prep, but not for its peers. Needs the Python environment of
launch/setup.sh; `datasets` is left out if it is not installed.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "tests" / "fixtures"
CONFIGS = {
    "gpt2": {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024},
    "t5": {"model_type": "t5", "vocab_size": 32128, "is_encoder_decoder": True},
}
BATCH = 1000

TEXTS = """
import json, sys, time
def texts(path):
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        yield row["model_input"]
        yield row["model_output"]
def in_batches(encode, path):
    everything = list(texts(path))
    start = time.perf_counter()
    for i in range(0, len(everything), BATCH):
        encode(everything[i:i + BATCH])
    print(time.perf_counter() - start)
""".replace("BATCH", str(BATCH))

# Each program prints the measured seconds. argv: rows, model folder, number of cores.
PEERS = {
    "tokenizers": TEXTS + """
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2]).backend_tokenizer
in_batches(lambda batch: tokenizer.encode_batch(batch, add_special_tokens=False), sys.argv[1])
""",
    "sentencepiece": TEXTS + """
import sentencepiece
model = sentencepiece.SentencePieceProcessor(sys.argv[2] + "/spiece.model")
in_batches(lambda batch: model.encode(batch, num_threads=int(sys.argv[3])), sys.argv[1])
""",
    "datasets": """
import sys, tempfile, time
import datasets
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
def encode(rows):
    return {"input": tokenizer(rows["model_input"], add_special_tokens=False)["input_ids"],
            "target": tokenizer(rows["model_output"], add_special_tokens=False)["input_ids"]}
datasets.disable_progress_bars()
cores = int(sys.argv[3])
with tempfile.TemporaryDirectory() as cache:
    start = time.perf_counter()
    rows = datasets.load_dataset("json", data_files=sys.argv[1], split="train", cache_dir=cache)
    rows.map(encode, batched=True, num_proc=cores if cores > 1 else None)
    print(time.perf_counter() - start)
""",
}


class Bench:
    def __init__(self, folder, kind, rows, prep):
        self.folder, self.kind, self.rows, self.prep = folder, kind, rows, prep
        self.model = folder / kind
        shutil.copytree(FIXTURES / "tokenizers" / kind, self.model)
        (self.model / "config.json").write_text(json.dumps(CONFIGS[kind]))

    def lockstep(self, rows, cores):
        shutil.rmtree(self.folder / "prepared", ignore_errors=True)
        job = self.folder / "job.yaml"
        job.write_text(
            f"pretrained_model_name: {self.model}\nhas_encoder: {str(self.kind == 't5').lower()}\n"
            f"model_max_length: 1024\ntraining_datasets: [{rows}]\nprepared_dir: {self.folder / 'prepared'}\n"
            f"num_workers: {cores}\n"
        )
        start = time.perf_counter()
        _, peak = run([self.prep, job], cores)
        return time.perf_counter() - start, peak

    def peer(self, name, cores):
        printed, peak = run([sys.executable, "-c", PEERS[name], self.rows, self.model, str(cores)], cores)
        return float(printed.splitlines()[-1]), peak

    def measure(self, name, cores):
        return self.lockstep(self.rows, cores) if name == "lockstep-prep" else self.peer(name, cores)


def run(command, cores):
    """Runs a program on the first `cores` of this process's cores. Returns its output and its peak memory in MB."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": str(cores > 1).lower(),
                   "OMP_NUM_THREADS": str(cores), "HF_HUB_OFFLINE": "1"}  # fmt: skip
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
    ) as process:  # fmt: skip
        printed, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]}: exit code {process.returncode}\n{errors}")
    return printed, usage.ru_maxrss / 1000


def make_rows(path, megabytes):
    """Writes the rows, and returns the bytes of their texts."""
    lines = [line for name in ("gsm8k", "nl2bash", "scan")
             for line in (FIXTURES / "data" / name / "train.jsonl").read_text().splitlines(keepends=True)]  # fmt: skip
    once = "".join(lines)
    copies = max(1, round(megabytes * 1e6 / len(once.encode())))
    with path.open("w") as file:
        for _ in range(copies):
            file.write(once)
    rows = [json.loads(line) for line in lines]
    return copies * sum(len(text.encode()) for row in rows for text in (row["model_input"], row["model_output"]))


def peers(kind):
    names = ["tokenizers"] + (["sentencepiece"] if kind == "t5" else [])
    if importlib.util.find_spec("datasets"):
        names.append("datasets")
    else:
        print("datasets: left out, since this Python has no package of that name", file=sys.stderr)
    return names


def compare(bench, names, text_bytes, cores, rounds):
    cases = [(name, count) for count in sorted({1, cores}) for name in names]
    seconds, peaks = {case: [] for case in cases}, {}
    for _ in range(rounds):
        for case in cases:
            duration, peaks[case] = bench.measure(*case)
            seconds[case].append(duration)
    speed = {case: text_bytes / 1e6 / statistics.median(seconds[case]) for case in cases}
    print(f"\n{bench.kind}: {text_bytes / 1e6:.1f} MB of text, median of {rounds}\n")
    print(f"{'':<16}{'cores':>6}{'MB/s':>10}{'lockstep is':>14}{'peak MB':>10}")
    for name, count in cases:
        ratio = speed["lockstep-prep", count] / speed[name, count]
        compared = "" if name == "lockstep-prep" else f"{ratio:.1f} x"
        print(f"{name:<16}{count:>6}{speed[name, count]:>10.2f}{compared:>14}{peaks[name, count]:>10.0f}")
    if cores > 1:
        gain = speed["lockstep-prep", cores] / speed["lockstep-prep", 1]
        print(f"lockstep-prep with {cores} cores is {gain:.2f} times as fast as with 1")


def start_up(bench):
    row = bench.folder / "row.jsonl"
    row.write_text('{"model_input": "a", "model_output": "b"}\n')
    durations = [bench.lockstep(row, 1)[0] for _ in range(5)]
    print(f"start to the shard of one row: {1000 * statistics.median(durations):.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=5, help="size of the input file [5]")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="[all that this process may use]")
    parser.add_argument("--rounds", type=int, default=3, help="[3]")
    parser.add_argument("--models", nargs="+", choices=CONFIGS, default=list(CONFIGS), help="[gpt2 t5]")
    parser.add_argument("--alone", action="store_true", help="without the peers: what more cores bring")
    parser.add_argument("--prep", default=str(ROOT / "build" / "bin" / "lockstep-prep"), help="the program to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        folder = pathlib.Path(folder)
        rows = folder / "rows.jsonl"
        text_bytes = make_rows(rows, arguments.megabytes)
        for kind in arguments.models:
            bench = Bench(folder, kind, rows, arguments.prep)
            names = ["lockstep-prep"] + ([] if arguments.alone else peers(kind))
            compare(bench, names, text_bytes, arguments.cores, arguments.rounds)
            start_up(bench)


if __name__ == "__main__":
    main()
