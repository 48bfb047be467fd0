#!/usr/bin/env python3
"""Measures what it costs to save checkpoints while `lockstep train` trains, and to resume from one.

    bench/checkpoints.py

Two ranks of one thread each train a model of random weights on rows of one length, and save every few steps. Steps that
overlap a save (from the step after it until the checkpoint is in place) are compared with the other steps of the same run:
the cost is how much longer they take on average. The copy of the state, between two steps, counts towards the later step.

With --rows-of-data N, it measures instead the time from the program's start to its first step on N rows, alternately for
a run that begins and for one that resumes in the middle of an epoch.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from ddp import DATA, PROCESSES, ROOT, WARM_UP, make_model, write_rows


def write_job(folder, rows, **keys):
    job = folder / "job.yaml"
    lines = {"pretrained_model_name": folder / "model", "has_encoder": "false", "training_datasets": f"[{rows}]",
             "prepared_dir": folder / "prepared", "evaluation_strategy": '"no"', "overwrite_output_dir": "true", **keys}
    job.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return job


def run(*command, check=True):
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if check and finished.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {finished.returncode}\n{finished.stderr}")
    return finished.stderr


def steps_of(output):
    with open(output / "metrics.jsonl", encoding="utf-8") as file:
        return {line["step"]: line["seconds"] for line in map(json.loads, file) if line["event"] == "step"}


def cost_of_saving(arguments, folder):
    parameters = make_model("gpt2", folder / "model", arguments.width, arguments.layers)
    write_rows("gpt2", folder / "rows.jsonl", PROCESSES * arguments.rows * 4, 128)
    job = write_job(folder, folder / "rows.jsonl", model_max_length=128, per_device_train_batch_size=arguments.rows,
                    max_steps=arguments.steps, save_strategy="steps", save_steps=arguments.save_steps, save_total_limit=2)
    run(f"{arguments.lockstep}-prep", job)
    overlapped, others, taken = [], [], []
    for _ in range(arguments.rounds):
        output = folder / "result"
        shutil.rmtree(output, ignore_errors=True)
        log = run(ROOT / "launch" / "mpirun.sh", "-n", PROCESSES, arguments.lockstep, "train", job, f"output_dir={output}")
        seconds = steps_of(output)
        saving = set()
        for step, duration in re.findall(r"checkpoint-(\d+) is saved, ([\d.]+) s after", log):
            taken.append(float(duration))
            left, step = float(duration), int(step) + 1
            while left > 0 and step in seconds:
                saving.add(step)
                left -= seconds[step]
                step += 1
        overlapped += [seconds[step] for step in sorted(saving)]
        others += [duration for step, duration in seconds.items() if step > WARM_UP and step not in saving]
    if not overlapped or not others:
        sys.exit("expected steps with and without a save beside them; give other --steps or --save-steps")
    cost = statistics.mean(overlapped) / statistics.mean(others) - 1
    print(f"gpt2, {parameters / 1e6:.1f} M parameters: {len(taken)} saves, each in place after {statistics.mean(taken):.2f} s (mean)")
    print(f"steps beside a save: {statistics.mean(overlapped):.3f} s ({len(overlapped)}); others: {statistics.mean(others):.3f} s "
          f"({len(others)}); a save costs {100 * cost:.1f} % of the steps that it overlaps")


def last_step(output):
    metrics = output / "metrics.jsonl"
    lines = metrics.read_bytes().splitlines() if metrics.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def seconds_to_step(process, begun, output, step):
    """Returns the seconds from `begun` until the process has done `step`."""
    while last_step(output) < step:
        if process.poll() is not None:
            sys.exit(process.stderr.read())
        time.sleep(0.01)
    return time.perf_counter() - begun


def start_to_first_step(arguments, folder):
    make_model("gpt2", folder / "model", 64, 2)
    with open(DATA["gpt2"] / "train.jsonl", encoding="utf-8") as file:
        examples = [json.loads(line) for line in file]
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        for i in range(arguments.rows_of_data):
            row = examples[i % len(examples)]
            file.write(json.dumps({"model_input": f"{i} {row['model_input'][:12]}", "model_output": row["model_output"][:8]}) + "\n")
    job = write_job(folder, folder / "rows.jsonl", per_device_train_batch_size=32, num_train_epochs=1)
    begun = time.perf_counter()
    run(f"{arguments.lockstep}-prep", job)
    print(f"{arguments.rows_of_data} rows prepared in {time.perf_counter() - begun:.0f} s")
    times = {"fresh": [], "resumed": []}
    for _ in range(arguments.rounds):
        output = folder / "result"
        shutil.rmtree(output, ignore_errors=True)
        for name in times:
            before = last_step(output)
            begun = time.perf_counter()
            process = subprocess.Popen([arguments.lockstep, "train", job, f"output_dir={output}"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            times[name].append(seconds_to_step(process, begun, output, before + 1))
            seconds_to_step(process, begun, output, before + 20)
            process.terminate()
            if process.wait() != 85:
                sys.exit(process.stderr.read())
    fresh, resumed = (statistics.median(times[name]) for name in ("fresh", "resumed"))
    print(f"from the start to the first step: {fresh:.2f} s fresh, {resumed:.2f} s resumed, {resumed - fresh:+.2f} s (medians of {arguments.rounds})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=512, help="of the model [512]")
    parser.add_argument("--layers", type=int, default=6, help="of the model [6]")
    parser.add_argument("--rows", type=int, default=8, help="of a process in a step [8]")
    parser.add_argument("--steps", type=int, default=60, help="of each run [60]")
    parser.add_argument("--save-steps", type=int, default=20, help="[20]")
    parser.add_argument("--rounds", type=int, default=3, help="[3]")
    parser.add_argument("--rows-of-data", type=int, help="measures the start with a set of so many instead")
    parser.add_argument("--lockstep", type=pathlib.Path, default=ROOT / "build" / "bin" / "lockstep", help="the program to measure")
    arguments = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", TRANSFORMERS_VERBOSITY="error")
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        measure = start_to_first_step if arguments.rows_of_data else cost_of_saving
        measure(arguments, pathlib.Path(folder))


if __name__ == "__main__":
    main()
