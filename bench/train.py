#!/usr/bin/env python3
"""Compares `lockstep train` with the Hugging Face Trainer: tokens per second, peak memory and loss of the same job.

    bench/train.py                                                              nl2bash, 6 layers of 512
    bench/train.py --tokenizer GPT2_FOLDER --data nl2bash/train.jsonl --batch 32   with GPT-2's vocabulary
    bench/train.py --shape gpt2-124m --tokenizer GPT2_FOLDER --data gsm8k/train.jsonl --batch 16
    bench/train.py --shape t5-small --full                                      full batches, and their share of the peak

All train the same model of random weights on the same shards, with the same batch size, AdamW, schedule and number of
threads, each in a process of its own, in turns:

    lockstep         with micro-batches of its own choice; --lockstep may be given several times, to compare programs
    trainer          the Trainer as commonly used: each batch is padded to its longest row, and only outputs have labels
    trainer-grouped  with rows of similar length in a batch
    prompt2model     every batch is padded to the longest row of the set, as prompt2model does

Tokens exclude padding, and are counted over the steps after the first three. The loss is the mean over the last quarter of
the steps; the order of rows differs, so losses agree only roughly. With --full, all rows have the same number of tokens, and
all output tokens are labels; the output then also shows the model's products as a share of the sgemm peak in the same
round, counting only labelled positions for the head and half of the pairs for causal attention.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from ddp import DATA, LEARNING_RATE, ROOT, TOKENIZERS, WARM_UP, read_examples

# Encoder and decoder have this number of layers each.
SHAPES = {
    "gpt2": {"kind": "gpt2", "width": 512, "layers": 6, "heads": 8, "inner": 2048},
    "gpt2-124m": {"kind": "gpt2", "width": 768, "layers": 12, "heads": 12, "inner": 3072},
    "t5": {"kind": "t5", "width": 512, "layers": 3, "heads": 8, "inner": 1024},
    "t5-small": {"kind": "t5", "width": 512, "layers": 6, "heads": 8, "inner": 2048},
}
PEERS = ["trainer", "trainer-grouped", "prompt2model"]
FULL = {"gpt2": (1, 255), "t5": (256, 64)}  # tokens of input and output


def vocabulary_of(tokenizer):
    """Returns the number of tokens and the id of the end-of-text token."""
    config = tokenizer / "config.json"
    if config.exists():
        config = json.loads(config.read_text())
        return config["vocab_size"], config["eos_token_id"]
    if (tokenizer / "vocab.json").exists():
        ids = json.loads((tokenizer / "vocab.json").read_text())
    else:
        tokens = json.loads((tokenizer / "tokenizer.json").read_text())
        ids = {token: i for i, (token, _) in enumerate(tokens["model"]["vocab"])}
        ids |= {token["content"]: token["id"] for token in tokens["added_tokens"]}
    return max(ids.values()) + 1, ids.get("<|endoftext|>", ids.get("</s>"))


def make_model(shape, folder, tokenizer, dropout):
    """Writes a model and returns its number of parameters."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    tokens, end = vocabulary_of(tokenizer)
    torch.manual_seed(1)
    if shape["kind"] == "gpt2":
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
            vocab_size=tokens, n_positions=1024, n_embd=shape["width"], n_layer=shape["layers"], n_head=shape["heads"],
            resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, bos_token_id=end, eos_token_id=end))
    else:
        model = transformers.T5ForConditionalGeneration(transformers.T5Config(
            vocab_size=tokens, d_model=shape["width"], d_kv=64, d_ff=shape["inner"], num_layers=shape["layers"],
            num_heads=shape["heads"], dropout_rate=dropout, decoder_start_token_id=0, eos_token_id=end))
    model.save_pretrained(folder)
    for file in tokenizer.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            shutil.copy(file, folder / file.name)
    return model.num_parameters()


def text_of_tokens(tokenizer, words, count, rng):
    """Returns random words with exactly `count` ids, drawing words until they fit."""
    while True:
        text = ""
        for word in rng.choices(words, k=2 * count):
            longer = f"{text} {word}" if text else word
            found = len(tokenizer(longer, add_special_tokens=False).input_ids)
            if found == count:
                return longer
            if found < count:
                text = longer


def write_full_rows(shape, tokenizer_folder, data, path, count):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    rng = random.Random(1)
    with open(data, encoding="utf-8") as file:
        words = sorted({word for line in file for word in json.loads(line)["model_input"].split()})
    inputs, outputs = FULL[shape["kind"]]
    ends = 1 if shape["kind"] == "t5" else 0  # in inputs; outputs always have one
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            row = {"model_input": text_of_tokens(tokenizer, words, inputs - ends, rng),
                   "model_output": text_of_tokens(tokenizer, words, outputs - 1, rng)}
            file.write(json.dumps(row) + "\n")


def flops_of(shape, vocabulary, source, target):
    """Returns the FLOPs of the matrix products of a row's forward and backward passes."""
    width, inner, layers = shape["width"], shape["inner"], shape["layers"]
    attention = 4 * width * width  # parameters
    if shape["kind"] == "gpt2":
        length = source + target - 1  # the last token predicts nothing
        forward = layers * (length * 2 * (attention + 2 * width * inner) + 4 * width * length * (length + 1) / 2)
    else:
        feed_forward = 2 * width * inner
        encoder = source * 2 * (attention + feed_forward) + 4 * width * source * source
        cross = target * attention + source * attention + 4 * width * source * target
        decoder = target * 2 * (attention + feed_forward) + 4 * width * target * (target + 1) / 2
        forward = layers * (encoder + cross + decoder)
    return 3 * (forward + 2 * width * vocabulary * target)


def measure_peak(threads):
    """Returns the peak of single-precision matrix products, in FLOPs per second."""
    import torch

    torch.set_num_threads(threads)
    size = 2048
    a, b = torch.randn(size, size), torch.randn(size, size)
    fastest = float("inf")
    for _ in range(8):
        begun = time.perf_counter()
        a @ b
        fastest = min(fastest, time.perf_counter() - begun)
    return 2 * size**3 / fastest


class Collator:
    """Pads to the longest row of the batch, or of the set: inputs on the right, labels with -100."""

    def __init__(self, has_encoder, pad, examples, to_longest_of_set):
        self.has_encoder, self.pad = has_encoder, pad
        rows = [self.row(example) for example in examples]
        self.widths = [max(map(len, column)) for column in zip(*rows)] if to_longest_of_set else None
        self.tokens = []  # of each batch, without padding

    def row(self, example):
        source, target = example
        if self.has_encoder:
            return list(source), list(target)
        return [*source, *target], [-100] * len(source) + list(target)

    def __call__(self, batch):
        import torch

        columns = [[row[name] for row in batch] for name in ("input_ids", "labels")]
        widths = self.widths or [max(map(len, column)) for column in columns]
        ids, labels = (torch.tensor([row + [fill] * (width - len(row)) for row in column])
                       for column, width, fill in zip(columns, widths, (self.pad, -100)))
        mask = torch.tensor([[1] * len(row) + [0] * (widths[0] - len(row)) for row in columns[0]])
        self.tokens.append(int(mask.sum()) + (int((labels != -100).sum()) if self.has_encoder else 0))
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def train_peer(name, folder, batch, steps, threads, bf16):
    """Prints the Trainer's tokens per second and losses, as JSON on the last line."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    config = transformers.AutoConfig.from_pretrained(folder / "model")
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = auto.from_pretrained(folder / "model", dtype=torch.float32)
    examples = read_examples(folder / "prepared")
    pad = config.pad_token_id if config.pad_token_id is not None else config.eos_token_id
    collator = Collator(config.is_encoder_decoder, pad, examples, name == "prompt2model")
    rows = [dict(zip(("input_ids", "labels"), (list(map(int, column)) for column in collator.row(example)))) for example in examples]

    class Clock(transformers.TrainerCallback):
        seconds = []

        def on_step_end(self, *_, **__):
            self.seconds.append(time.perf_counter())

    trainer = transformers.Trainer(
        model=model, data_collator=collator, train_dataset=rows, callbacks=[Clock()],
        args=transformers.TrainingArguments(
            output_dir=folder / "trainer", max_steps=steps, per_device_train_batch_size=batch, learning_rate=LEARNING_RATE,
            bf16=bool(bf16), use_cpu=True, save_strategy="no", logging_steps=1, report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
            train_sampling_strategy="group_by_length" if name == "trainer-grouped" else "random"))
    trainer.train()
    seconds = Clock.seconds[-1] - Clock.seconds[WARM_UP - 1]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print()
    print(json.dumps({"rate": sum(collator.tokens[WARM_UP:steps]) / seconds, "losses": list(map(float, losses))}))


class Bench:
    """Runs the benchmark; each method returns the tokens per second, peak bytes and losses of a run."""

    def __init__(self, folder, arguments):
        self.folder, self.arguments = folder, arguments
        self.has_encoder = SHAPES[arguments.shape]["kind"] == "t5"
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "TRANSFORMERS_VERBOSITY": "error"}
        self.job = folder / "job.yaml"
        limit = "" if arguments.full else f"model_max_length: {arguments.length}\n"
        rows = f"per_device_train_batch_size: {arguments.micro_batch}\n" if arguments.micro_batch else ""
        self.job.write_text(
            f"pretrained_model_name: {folder / 'model'}\nhas_encoder: {str(self.has_encoder).lower()}\n{limit}"
            f"training_datasets: [{folder / 'rows.jsonl'}]\nprepared_dir: {folder / 'prepared'}\nmax_steps: {arguments.steps}\n"
            f"global_batch_size: {arguments.batch}\n{rows}"
            f"learning_rate: {LEARNING_RATE}\nweight_decay: 0\nevaluation_strategy: \"no\"\noverwrite_output_dir: true\n"
            f"threads_per_rank: {arguments.threads}\n" + ("bf16: true\n" if arguments.bf16 else ""))
        self.run(f"{arguments.lockstep[0]}-prep", self.job)
        self.examples = read_examples(folder / "prepared")

    def run(self, *command):
        """Runs a command and returns its output and its peak bytes."""
        process = subprocess.Popen(list(map(str, command)), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{printed}")
        return printed, usage.ru_maxrss * 1024

    def lockstep(self, program):
        output = self.folder / "result"
        _, peak = self.run(program, "train", self.job, f"output_dir={output}")
        with open(output / "metrics.jsonl", encoding="utf-8") as file:
            steps = [line for line in map(json.loads, file) if line["event"] == "step"]
        tokens, seconds = (sum(step[key] for step in steps[WARM_UP:]) for key in ("tokens", "seconds"))
        return tokens / seconds, peak, [step["loss"] for step in steps]

    def peer(self, name):
        arguments = self.arguments
        printed, peak = self.run(sys.executable, __file__, "--peer", name, self.folder, arguments.batch, arguments.steps, arguments.threads,
                              int(arguments.bf16 == "all"))
        found = json.loads(printed.splitlines()[-1])
        return found["rate"], peak, found["losses"]


def last_quarter(losses):
    return statistics.mean(losses[-max(1, len(losses) // 4):])


def describe(arguments, parameters, examples):
    lengths = [len(source) + len(target) for source, target in examples]
    labels = statistics.mean(len(target) for _, target in examples)
    print(f"{arguments.shape}, {parameters / 1e6:.1f} M parameters; {len(examples)} rows of {statistics.mean(lengths):.0f} tokens, "
          f"{max(lengths)} at most, {labels:.0f} of them labels; batches of {arguments.batch}, {arguments.steps} steps, "
          f"{arguments.threads} threads, median of {arguments.rounds} rounds")


def flops_per_token(arguments, vocabulary, examples):
    sizes = {(len(source), len(target)) for source, target in examples}
    if len(sizes) != 1:
        sys.exit(f"expected rows of one size, found (input, output) tokens {sorted(sizes)}")
    source, target = sizes.pop()
    return flops_of(SHAPES[arguments.shape], vocabulary, source, target) / (source + target)


def main():
    if sys.argv[1:2] == ["--peer"]:
        name, folder, *numbers = sys.argv[2:]
        return train_peer(name, pathlib.Path(folder), *map(int, numbers))
    if sys.argv[1:2] == ["--peak"]:
        return print(measure_peak(int(sys.argv[2])))

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="gpt2", help="of the model [gpt2: 6 layers of 512]")
    parser.add_argument("--tokenizer", type=pathlib.Path, help="folder of a tokenizer [the examples']")
    parser.add_argument("--data", type=pathlib.Path, help="JSON Lines of model_input and model_output [the examples']")
    parser.add_argument("--rows-of-data", type=int, default=640, help="its first rows alone [640]")
    parser.add_argument("--full", action="store_true", help="rows of one size instead, of words of the data")
    parser.add_argument("--length", type=int, default=512, help="model_max_length [512]")
    parser.add_argument("--batch", type=int, default=16, help="rows of a step [16]")
    parser.add_argument("--micro-batch", type=int, help="rows that Lockstep computes at once [as many as it chooses]")
    parser.add_argument("--dropout", type=float, default=0.0, help="of the model [0]")
    parser.add_argument("--bf16", choices=["all", "lockstep"], help="who trains in mixed precision; the Trainer does not unless it is told to [none]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="[all cores]")
    parser.add_argument("--steps", type=int, default=10, help="of each run [10]")
    parser.add_argument("--rounds", type=int, default=3, help="[3]")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS[:2], help="[trainer trainer-grouped]")
    parser.add_argument("--lockstep", type=pathlib.Path, action="append", help="the program to measure [build/bin/lockstep]")
    arguments = parser.parse_args()
    arguments.lockstep = arguments.lockstep or [ROOT / "build" / "bin" / "lockstep"]
    if arguments.steps <= WARM_UP:
        parser.error(f"--steps: expected more than the {WARM_UP} that are not counted, found {arguments.steps}")
    kind = SHAPES[arguments.shape]["kind"]
    tokenizer = arguments.tokenizer or TOKENIZERS[kind]
    data = arguments.data or DATA[kind] / "train.jsonl"
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        folder = pathlib.Path(folder)
        parameters = make_model(SHAPES[arguments.shape], folder / "model", tokenizer, arguments.dropout)
        if arguments.full:
            write_full_rows(SHAPES[arguments.shape], folder / "model", data, folder / "rows.jsonl", 4 * arguments.batch)
        else:
            with open(data, encoding="utf-8") as file:
                (folder / "rows.jsonl").write_text("".join(line for _, line in zip(range(arguments.rows_of_data), file)), encoding="utf-8")
        bench = Bench(folder, arguments)
        describe(arguments, parameters, bench.examples)
        runs = {f"lockstep {i}" if i else "lockstep": (bench.lockstep, program) for i, program in enumerate(arguments.lockstep)}
        runs |= {name: (bench.peer, name) for name in arguments.peers}
        found = {name: [] for name in runs}
        peaks = []
        for _ in range(arguments.rounds):
            if arguments.full:
                peaks.append(float(bench.run(sys.executable, __file__, "--peak", arguments.threads)[0]))
            for name, (method, argument) in runs.items():
                found[name].append(method(argument))
        flops = flops_per_token(arguments, vocabulary_of(tokenizer)[0], bench.examples) if arguments.full else None
    report(found, peaks, flops)


def report(found, peaks, flops):
    print(f"\n{'':<17}{'tokens/s':>9}{'lockstep is':>14}{'peak MB':>9}{'lockstep has':>14}{'loss':>9}" + (f"{'of peak':>9}" if flops else ""))
    for name, rounds in found.items():
        rates, sizes, losses = zip(*rounds)
        # Taken per round, because the machine's speed changes between rounds.
        faster = statistics.median(own[0] / other for own, other in zip(found["lockstep"], rates))
        smaller = statistics.median(own[1] / other for own, other in zip(found["lockstep"], sizes))
        line = f"{name:<17}{statistics.median(rates):>9.0f}{f'{faster:.2f} x':>14}{statistics.median(sizes) / 1e6:>9.0f}{f'{smaller:.0%}':>14}"
        line += f"{statistics.median(map(last_quarter, losses)):>9.4f}"
        if flops:
            line += f"{statistics.median(rate * flops / peak for rate, peak in zip(rates, peaks)):>9.0%}"
        print(line)


if __name__ == "__main__":
    main()
