#!/usr/bin/env python3
"""Checks whether a step costs what the cost model predicts: tokens per second of `lockstep train` as sizes grow.

    bench/scaling.py                                  a table, and build/scaling.svg
    bench/scaling.py --widths 256 512 --rounds 3

A GPT-2 of random weights, with 4 layers, is trained for some steps on rows of one length. Starting from the middle of the
three scales, one is changed at a time: the rows of a step (1x, 4x, 16x), the tokens of a row (64 to 1024), the features of
a layer. `lockstep plan` predicts for the speed that the middle case reached, so that every other line shows the effect of
its size beyond the work that the model counts: below 100 % the step is slower than predicted. Each round runs all cases in
turns; rates are medians over steps after the first three, and over rounds.
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

from ddp import ROOT, WARM_UP, make_model, write_rows

LAYERS = 4
COLOURS = {"measured": "#1b6ac9", "predicted": "#888888"}


class Case:
    """A job, prepared once."""

    def __init__(self, folder, arguments, rows, length, width):
        self.rows, self.length, self.width = rows, length, width
        self.program = arguments.lockstep
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
        self.rates = []
        self.folder = folder / f"{rows}-{length}-{width}"
        model = folder / f"model-{width}"
        if not model.exists():
            make_model("gpt2", model, width, LAYERS)
        self.folder.mkdir()
        write_rows("gpt2", self.folder / "rows.jsonl", rows, length)
        self.job = self.folder / "job.yaml"
        self.job.write_text(
            f"pretrained_model_name: {model}\nhas_encoder: false\nmodel_max_length: {length}\n"
            f"training_datasets: [{self.folder / 'rows.jsonl'}]\nprepared_dir: {self.folder / 'prepared'}\n"
            f"output_dir: {self.folder / 'result'}\noverwrite_output_dir: true\nmax_steps: {arguments.steps}\n"
            f"global_batch_size: {rows}\nlearning_rate: 1e-4\nevaluation_strategy: \"no\"\nthreads_per_rank: {arguments.threads}\n")
        self.run(f"{self.program}-prep", self.job)

    def run(self, *command):
        process = subprocess.run(list(map(str, command)), env=self.environment, capture_output=True, text=True)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{process.stderr}")
        return process.stdout

    def train(self):
        self.run(self.program, "train", self.job)
        with open(self.folder / "result" / "metrics.jsonl", encoding="utf-8") as file:
            steps = [line for line in map(json.loads, file) if line["event"] == "step"]
        self.rates.append(steps[-1]["tokens"] / statistics.median(step["seconds"] for step in steps[WARM_UP:]))

    def rate(self):
        return statistics.median(self.rates)

    def predicted_seconds(self, flops):
        """Returns the predicted seconds of a step on a machine of `flops` floating-point operations per second."""
        printed = self.run(self.program, "plan", self.job, "--gpus", 1, "--measured-flops", flops, "--link", "1Tb")
        return float(re.search(r"^ +1  none .* s +([\d.]+) s +\d+ +[\d.]+ %$", printed, re.MULTILINE).group(1))

    def tokens(self):
        return self.rows * self.length

    def name(self):
        return f"{self.rows} x {self.length}, {self.width}"


def draw(path, panels):
    """Plots tokens per second over each scale; `panels`: {title: [(value, measured, predicted), ...]}."""
    width, height, margin = 360, 300, 50
    highest = 1.1 * max(max(point[1:]) for points in panels.values() for point in points)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * len(panels)}" height="{height}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>']
    for panel, (title, points) in enumerate(panels.items()):
        left, bottom, right, top = panel * width + margin, height - margin, (panel + 1) * width - 15, 40
        def place(index, rate):
            return left + (right - left) * (index + 0.5) / len(points), bottom - (bottom - top) * rate / highest
        parts.append(f'<text x="{left}" y="20">{title}</text><path d="M{left},{top}V{bottom}H{right}" fill="none" stroke="black"/>')
        for share in (0.25, 0.5, 0.75, 1):
            y = bottom - (bottom - top) * share / 1.1
            parts.append(f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{highest * share / 1.1:.0f}</text>'
                         f'<path d="M{left},{y}H{right}" stroke="#dddddd"/>')
        for column, (name, colour) in enumerate(COLOURS.items(), start=1):
            line = [place(i, point[column]) for i, point in enumerate(points)]
            parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in line]
            parts.append(f'<text x="{right}" y="{bottom - 14 * column}" text-anchor="end" fill="{colour}">{name}</text>')
        for i, (value, *_) in enumerate(points):
            parts.append(f'<text x="{place(i, 0)[0]:.1f}" y="{bottom + 18}" text-anchor="middle">{value}</text>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts) + "\n</svg>\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[4, 16, 64], help="of a step [4 16 64]")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256, 512, 1024], help="tokens of a row [64 128 256 512 1024]")
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 512, 768], help="features, in multiples of 64 [128 256 512 768]")
    parser.add_argument("--middle", type=int, nargs=3, default=[16, 256, 512], help="rows, length and width, from which each changes [16 256 512]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="[all cores]")
    parser.add_argument("--steps", type=int, default=6, help="of each run [6]")
    parser.add_argument("--rounds", type=int, default=1, help="[1]")
    parser.add_argument("--plot", type=pathlib.Path, default=ROOT / "build" / "scaling.svg", help="[build/scaling.svg]")
    parser.add_argument("--lockstep", default=str(ROOT / "build" / "bin" / "lockstep"), help="the program to measure")
    arguments = parser.parse_args()
    if arguments.steps <= WARM_UP:
        parser.error(f"--steps: expected more than the {WARM_UP} that are not counted, found {arguments.steps}")
    rows, length, width = arguments.middle
    scales = {"rows of a step": [(r, length, width) for r in arguments.rows],
              "tokens of a row": [(rows, t, width) for t in arguments.lengths],
              "features of a layer": [(rows, length, w) for w in arguments.widths]}
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        sizes = dict.fromkeys([(rows, length, width), *(size for of_scale in scales.values() for size in of_scale)])
        cases = {size: Case(pathlib.Path(folder), arguments, *size) for size in sizes}
        for _ in range(arguments.rounds):
            for case in cases.values():
                case.train()
        middle = cases[rows, length, width]
        unit = 1e9
        flops = unit * middle.predicted_seconds(unit) * middle.rate() / middle.tokens()
        predicted = {size: case.tokens() / case.predicted_seconds(unit) / unit * flops for size, case in cases.items()}
    print(f"GPT-2 of {LAYERS} layers, {arguments.threads} threads, {flops / 1e9:.0f} Gflop/s with {middle.name()}\n")
    print(f"{'rows':>5}{'length':>8}{'width':>7}{'tokens/s':>11}{'predicted':>11}{'of it':>8}")
    for scale in scales.values():
        for size in scale:
            rate = cases[size].rate()
            print(f"{size[0]:>5}{size[1]:>8}{size[2]:>7}{rate:>11.0f}{predicted[size]:>11.0f}{rate / predicted[size]:>8.0%}")
        print()
    values = {"rows of a step": 0, "tokens of a row": 1, "features of a layer": 2}
    draw(arguments.plot, {title: [(size[values[title]], cases[size].rate(), predicted[size]) for size in scale]
                          for title, scale in scales.items()})
    print(f"plot: {arguments.plot}")


if __name__ == "__main__":
    main()
