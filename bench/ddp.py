#!/usr/bin/env python3
"""Compares two ranks of `lockstep train` with two independent runs and with PyTorch's DistributedDataParallel.

    bench/ddp.py --kind gpt2

All train the same model of random weights on the same rows, with two processes of one thread each, in turns:

    ranks       two ranks of mpirun, each with half of every batch
    alone       two independent runs of one rank, side by side, each with as many rows: the most that the machine can do
    ddp         PyTorch's DistributedDataParallel over gloo on the same ids, with transformers' model and torch's fused
                AdamW

Every row has the same number of tokens, so that nothing is padded and both halves of a batch cost the same. Tokens per
second are those of both processes, from the median step after the first three.
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
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOKENIZERS = {"t5": ROOT / "examples" / "models" / "scan-t5", "gpt2": ROOT / "examples" / "models" / "nl2bash-gpt2"}
DATA = {"t5": ROOT / "examples" / "data" / "scan", "gpt2": ROOT / "examples" / "data" / "nl2bash"}
PROCESSES = 2
WARM_UP = 3
LEARNING_RATE = 1e-4


def make_model(kind, folder, width, layers):
    """Writes a model without dropout, which each method computes differently. Returns its number of parameters."""
    import torch
    import transformers

    tokenizer = TOKENIZERS["t5" if kind == "t5" else "gpt2"]
    tokens = json.loads((tokenizer / "config.json").read_text())["vocab_size"]
    heads = width // 64
    torch.manual_seed(1)
    if kind == "gpt2":
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
            vocab_size=tokens, n_positions=1024, n_embd=width, n_layer=layers, n_head=heads, resid_pdrop=0, embd_pdrop=0,
            attn_pdrop=0, bos_token_id=0, eos_token_id=0))
    elif kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
            vocab_size=tokens, max_position_embeddings=1024, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
            num_attention_heads=heads, bos_token_id=0, eos_token_id=0))
    else:
        model = transformers.T5ForConditionalGeneration(transformers.T5Config(
            vocab_size=tokens, d_model=width, d_kv=64, d_ff=2 * width, num_layers=layers // 2, num_heads=heads, dropout_rate=0,
            feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0))
    model.save_pretrained(folder)
    for file in tokenizer.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            shutil.copy(file, folder / file.name)
    return model.num_parameters()


def write_rows(kind, path, count, length):
    """Writes rows joined from so many rows of the example data that each is truncated: decoder-only inputs at the start."""
    with open(DATA["t5" if kind == "t5" else "gpt2"] / "train.jsonl", encoding="utf-8") as file:
        examples = [json.loads(line) for line in file]
    inputs = length // 2
    outputs = length // 2 if kind == "t5" else max(1, length // 64)
    with open(path, "w", encoding="utf-8") as file:
        for i in range(count):
            joined = {name: " ".join(examples[(7 * i + j) % len(examples)][name] for j in range(rows))
                      for name, rows in (("model_input", inputs), ("model_output", outputs))}
            file.write(json.dumps(joined) + "\n")


def read_examples(prepared):
    """Returns the input and target ids of each example in the shards."""
    import h5py

    examples = []
    for path in sorted((prepared / "train").glob("shard-*.h5")):
        with h5py.File(path) as shard:
            arrays = {name: (shard[name]["ids"][:].astype("int64"), shard[name]["offsets"][:])
                      for name in ("source", "target", "sequence") if name in shard}
            split = {name: [ids[begin:end] for begin, end in zip(offsets, offsets[1:])] for name, (ids, offsets) in arrays.items()}
            if "sequence" in split:
                examples += [(ids[:start], ids[start:]) for ids, start in zip(split["sequence"], shard["target_start"][:])]
            else:
                examples += list(zip(split["source"], split["target"]))
    return examples


def ddp_rank(rank, folder, has_encoder, examples, rows, steps):
    """Trains as one rank of DistributedDataParallel, and writes the seconds of each step to a file."""
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=PROCESSES)
    auto = transformers.AutoModelForSeq2SeqLM if has_encoder else transformers.AutoModelForCausalLM
    model = auto.from_pretrained(folder / "model", dtype=torch.float32).train()
    parallel = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    seconds = []
    for step in range(steps):
        begun = time.perf_counter()
        batch = [examples[(step * PROCESSES * rows + i) % len(examples)] for i in range(PROCESSES * rows)]
        own = batch[rank * rows:(rank + 1) * rows]
        if has_encoder:
            inputs, labels = (torch.stack([torch.from_numpy(ids) for ids in part]) for part in zip(*own))
        else:
            inputs = torch.stack([torch.cat(list(map(torch.from_numpy, example))) for example in own])
            labels = inputs.clone()
            for row, (prompt, _) in zip(labels, own):
                row[:len(prompt)] = -100
        target_tokens = sum(len(target) for _, target in own) / sum(len(target) for _, target in batch)
        optimizer.zero_grad()
        loss = parallel(input_ids=inputs, labels=labels).loss  # the mean over this rank's target tokens
        (PROCESSES * target_tokens * loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
    if rank == 0:
        (folder / "ddp.json").write_text(json.dumps(seconds))
    torch.distributed.destroy_process_group()


class Bench:
    """Runs the benchmark; each method returns tokens per second."""

    def __init__(self, folder, kind, length, rows, steps, lockstep):
        self.folder, self.has_encoder, self.rows, self.steps, self.lockstep = folder, kind == "t5", rows, steps, lockstep
        write_rows(kind, folder / "rows.jsonl", PROCESSES * rows * 4, length)
        self.job = folder / "job.yaml"
        self.job.write_text(
            f"pretrained_model_name: {folder / 'model'}\nhas_encoder: {str(self.has_encoder).lower()}\nmodel_max_length: {length}\n"
            f"training_datasets: [{folder / 'rows.jsonl'}]\nprepared_dir: {folder / 'prepared'}\nmax_steps: {steps}\n"
            f"per_device_train_batch_size: {rows}\nlearning_rate: {LEARNING_RATE}\nevaluation_strategy: \"no\"\n"
            "overwrite_output_dir: true\n")
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.finish([self.start(f"{lockstep}-prep", self.job)])
        self.examples = read_examples(folder / "prepared")
        sizes = {len(source) + len(target) for source, target in self.examples}
        if len(sizes) != 1:
            sys.exit(f"expected rows of one size, found {sorted(sizes)} tokens; give a smaller --length")
        self.tokens = sizes.pop() * PROCESSES * rows  # per step

    def start(self, *command):
        return subprocess.Popen(list(map(str, command)), env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def finish(processes):
        for process in processes:
            errors = process.communicate()[1]
            if process.returncode != 0:
                sys.exit(f"{' '.join(process.args)}: exit code {process.returncode}\n{errors}")

    def tokens_per_second(self, seconds):
        return self.tokens / statistics.median(seconds[WARM_UP:])

    def step_seconds(self, output):
        with open(output / "metrics.jsonl", encoding="utf-8") as file:
            return [line["seconds"] for line in map(json.loads, file) if line["event"] == "step"]

    def ranks(self):
        output = self.folder / "ranks"
        self.finish([self.start(ROOT / "launch" / "mpirun.sh", "-n", PROCESSES, self.lockstep, "train", self.job, f"output_dir={output}")])
        return self.tokens_per_second(self.step_seconds(output))

    def alone(self):
        outputs = [self.folder / f"alone{i}" for i in range(PROCESSES)]
        self.finish([self.start(self.lockstep, "train", self.job, "threads_per_rank=1", f"output_dir={output}") for output in outputs])
        return sum(self.tokens_per_second(self.step_seconds(output)) / PROCESSES for output in outputs)

    def ddp(self):
        import torch

        (self.folder / "meeting").unlink(missing_ok=True)
        torch.multiprocessing.spawn(ddp_rank, (self.folder, self.has_encoder, self.examples, self.rows, self.steps), nprocs=PROCESSES)
        return self.tokens_per_second(json.loads((self.folder / "ddp.json").read_text()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=["gpt2", "llama", "t5"], default="gpt2", help="of model [gpt2]")
    parser.add_argument("--width", type=int, default=512, help="of the model [512]")
    parser.add_argument("--layers", type=int, default=6, help="of the model, encoder and decoder together [6]")
    parser.add_argument("--length", type=int, default=128, help="tokens of a row; of T5, of its input and of its output [128]")
    parser.add_argument("--rows", type=int, default=8, help="of a process in a step [8]")
    parser.add_argument("--steps", type=int, default=15, help="of each run [15]")
    parser.add_argument("--rounds", type=int, default=5, help="[5]")
    parser.add_argument("--lockstep", type=pathlib.Path, default=ROOT / "build" / "bin" / "lockstep", help="the program to measure")
    arguments = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", TRANSFORMERS_VERBOSITY="error")
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        folder = pathlib.Path(folder)
        parameters = make_model(arguments.kind, folder / "model", arguments.width, arguments.layers)
        bench = Bench(folder, arguments.kind, arguments.length, arguments.rows, arguments.steps, arguments.lockstep)
        print(f"{arguments.kind}, {parameters / 1e6:.1f} M parameters, {bench.tokens} tokens a step, median of {arguments.rounds}\n")
        rates = {"ranks": [], "alone": [], "ddp": []}
        for _ in range(arguments.rounds):
            for name, of_rounds in rates.items():
                of_rounds.append(getattr(bench, name)())
    for name, of_rounds in rates.items():
        # Taken per round, because the machine's speed changes between rounds.
        ratio = statistics.median(ranks / other for ranks, other in zip(rates["ranks"], of_rounds))
        spread = f"{min(of_rounds):>9.0f} to {max(of_rounds):.0f}"
        print(f"{name:<8}{statistics.median(of_rounds):>9.0f} tokens/s, {spread}" + ("" if name == "ranks" else f";  ranks / {name}: {ratio:.2f}"))


if __name__ == "__main__":
    main()
