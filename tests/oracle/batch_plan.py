"""`lockstep inspect --plan` against the lengths that h5py reads in the shards, and against what training reports."""

import json
import random
import re

import h5py
import pytest
import transformers
from conftest import example_rows, load_saved, random_model, read_lines, run
from training_workplace import write_job

KINDS = ["t5-v1.0", "t5-v1.1", "gpt2", "llama"]
COLUMNS = ["ranks", "epoch", "steps", "micro-batches", "padding", "balance", "largest"]


def inspect(job, *options):
    """The lines of the table, each a dictionary."""
    lines = run("lockstep", "inspect", job, "--plan", *options).stdout.splitlines()
    assert lines[1].split() == COLUMNS
    return [dict(zip(COLUMNS, map(float, line.replace("%", "").split()))) for line in lines[2:]]


def lengths_of(folder, has_encoder):
    """(input, target) of every example, in the order of the set."""
    lengths = []
    for shard in json.loads((folder / "manifest.json").read_text())["shards"]:
        with h5py.File(folder / shard["name"]) as file:
            if has_encoder:
                source, target = (file[f"{part}/offsets"][:] for part in ("source", "target"))
                lengths += zip((source[1:] - source[:-1]).tolist(), (target[1:] - target[:-1]).tolist())
            else:
                offsets, starts = file["sequence/offsets"][:], file["target_start"][:].tolist()
                lengths += [(start, total - start) for start, total in zip(starts, (offsets[1:] - offsets[:-1]).tolist())]
    return lengths


TOKENS_OF_A_PASS = 64
MULTIPLY_ADDS_OF_A_FEATURE = 128
PRODUCTS_OF_A_PAIR = 2  # with as much again outside of them


def cost_function(config, has_encoder):
    """Multiply-adds of a row of `source` and `target` tokens (decoder-only: all in `source`), `labels` of them learned, on
    which a decoder-only row's last token has no influence, with
    what counts as such for the features in and out of projections; and those that a pass counts for."""
    hidden, head = config.hidden_size, config.vocab_size * config.hidden_size
    if has_encoder:
        width, gated = config.num_heads * config.d_kv, config.feed_forward_proj.startswith("gated")
        projections = 3 if gated else 2
        mlp, mlp_features = projections * hidden * config.d_ff, projections * (hidden + config.d_ff)
        encoders, decoders = config.num_layers, config.num_decoder_layers
        on_source = encoders * (4 * hidden * width + mlp) + decoders * 2 * hidden * width
        on_target = decoders * (6 * hidden * width + mlp)
        source_features = encoders * (4 * (hidden + width) + mlp_features) + decoders * 2 * (hidden + width)
        target_features = decoders * (6 * (hidden + width) + mlp_features)

        def cost(source, target, labels):
            pairs = encoders * source * source + decoders * (target * target + source * target)
            beside = MULTIPLY_ADDS_OF_A_FEATURE * (source_features * source + target_features * target)
            return on_source * source + on_target * target + beside + PRODUCTS_OF_A_PAIR * 2 * width * pairs + head * labels
        return cost, TOKENS_OF_A_PASS * (on_source + on_target + head)

    layers = config.num_hidden_layers
    if config.model_type == "gpt2":
        inner = config.n_inner or 4 * hidden
        width, mlp, mlp_features = hidden, 2 * hidden * inner, 2 * (hidden + inner)
        query_key_value, features = 3 * hidden * hidden, 4 * hidden
    else:
        width, inner = config.num_attention_heads * config.head_dim, config.intermediate_size
        mlp, mlp_features = 3 * hidden * inner, 3 * (hidden + inner)
        heads = width + 2 * config.num_key_value_heads * config.head_dim
        query_key_value, features = hidden * heads, 3 * hidden + heads
    behind = width * hidden + mlp  # attention; of the last layer, at labels alone
    on_token, on_label = layers * query_key_value + (layers - 1) * behind, behind + head
    beside = MULTIPLY_ADDS_OF_A_FEATURE * (layers * features + (layers - 1) * (width + hidden + mlp_features))

    def cost(source, _, labels):
        source -= 1
        return (on_token + beside) * source + PRODUCTS_OF_A_PAIR * 2 * layers * width * source * source + on_label * labels
    return cost, TOKENS_OF_A_PASS * (on_token + on_label)


def spread(rows, count, limit, cost):
    """Each row, longest first, to the cheapest piece so far; None if it has no room."""
    pieces, costs = [[] for _ in range(count)], [0] * count
    for row in rows:
        cheapest = costs.index(min(costs))
        if pieces[cheapest] and sum(map(sum, (other[:2] for other in pieces[cheapest]))) + row[0] + row[1] > limit:
            return None
        pieces[cheapest].append(row)
        costs[cheapest] += cost(*row)
    return [(piece, cost) for piece, cost in zip(pieces, costs) if piece]


def plan(lengths, has_encoder, model_cost, ranks, limit):
    """Of all rows in one batch, in micro-batches of `limit` tokens."""
    cost, of_pass = model_cost
    rows = [(i, source, target, target) if has_encoder else (i, source + target, 0, target)
            for i, (source, target) in enumerate(lengths)]
    rows.sort(key=lambda row: (-row[1] - row[2], row[0]))
    rows = [row[1:] for row in rows]
    count = -(-sum(min(source + target, limit) for source, target, _ in rows) // limit)
    pieces = None
    while pieces is None:
        count = min(-(-count // ranks) * ranks, len(rows))
        pieces = spread(rows, count, limit, cost)
        count += 1
    loads = [0] * ranks
    for value in sorted((of_piece + of_pass for _, of_piece in pieces), reverse=True):
        loads[loads.index(min(loads))] += value
    return {"cost": max(loads), "steps": 1, "micro-batches": len(pieces), "padding": 0, "balance": sum(loads) / ranks / max(loads),
            "largest": max(sum(source + target for source, target, _ in piece) for piece, _ in pieces)}


def check_estimates(job, parameters, ranks, expected):
    """`lockstep plan`: computing by the plan's cost, messages and memory by the model's size."""
    flops, link = 1e6, 1e6
    output = run("lockstep", "plan", job, "--gpus", ranks, "--measured-flops", flops, "--link", "8Mb").stdout
    lines = re.findall(r"^ +(\d+)  (\w+) +([\d.]+) GB +([\d.]+) s +([\d.]+) s +([\d.]+) s +(\d+) +([\d.]+) %$", output, re.MULTILINE)
    assert [line[:2] for line in lines] == [(str(ranks), name) for name in ("none", "state", "state_and_gradients", "full")]
    ring = 4 * parameters * (ranks - 1) / ranks / link
    compute = 6 * expected["cost"] / flops
    for line, rings in zip(lines, [2, 2, None, None]):
        assert float(line[3]) == pytest.approx(compute, rel=1e-3, abs=1e-4)
        assert rings is None or float(line[4]) == pytest.approx(rings * ring, rel=1e-3, abs=1e-4)
        assert float(line[5]) >= float(line[3])


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_is_that_of_the_shards(kind, seed, tmp_path):
    rng = random.Random(seed)
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed)
    rows = example_rows("t5" if has_encoder else "gpt2", rng.randrange(20, 90), seed)
    limit = rng.randrange(10, 300)
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, global_batch_size=1000, max_tokens_per_micro_batch=limit,
                    shard_text_bytes=2000)
    run("lockstep-prep", job)
    lengths = lengths_of(tmp_path / "prepared" / "train", has_encoder)
    assert len(lengths) == len(rows)
    cost = cost_function(transformers.AutoConfig.from_pretrained(tmp_path / "model"), has_encoder)
    numbers = [1, 2, 3, rng.randrange(4, 9)]
    found = inspect(job, "--ranks", ",".join(map(str, numbers)))
    assert [line["ranks"] for line in found] == numbers
    check_estimates(job, load_saved(kind, tmp_path / "model")[0].num_parameters(), 2, plan(lengths, has_encoder, cost, 2, limit))
    for line, ranks in zip(found, numbers):
        expected = plan(lengths, has_encoder, cost, ranks, limit)
        for name, value in expected.items():
            if name == "cost":
                continue
            assert line[name] == pytest.approx(value, abs={"balance": 6e-5}.get(name, 0)), (ranks, name)
    # Rows alone bound it, too: by the tokens of so many of the longest.
    longest = sum(sorted(map(sum, lengths), reverse=True)[:3])
    for line in inspect(job, "--ranks", "1,2", "max_tokens_per_micro_batch=100000", "per_device_train_batch_size=3"):
        expected = plan(lengths, has_encoder, cost, int(line["ranks"]), longest)
        assert (line["micro-batches"], line["largest"]) == (expected["micro-batches"], expected["largest"])


def test_gpus_compute_in_what_the_job_multiplies_in(tmp_path):
    random_model("gpt2", tmp_path / "model", 1)
    job = write_job(tmp_path, tmp_path / "model", example_rows("gpt2", 4, 1), False)
    run("lockstep-prep", job)
    rates = []
    for keys in [[], ["tf32=true"], ["bf16=true"]]:
        output = run("lockstep", "plan", job, *keys, "--gpus", 1, "--gpu", "h100", "--share", 0.5, "--link", "1Gb").stdout
        rates.append(float(re.search(r"([\d.e+]+) Gflop/s a rank", output)[1]) / 1e3)
    assert rates == pytest.approx([67 / 2, 494.7 / 2, 989.4 / 2], rel=1e-3)


@pytest.mark.parametrize("kind", ["t5-v1.1", "gpt2"])
def test_training_follows_the_plan(kind, seed, tmp_path):
    """Every step of two epochs, with the rows in the order of each, and of a T5 without those set apart for validation."""
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed)
    rows = example_rows("t5" if has_encoder else "gpt2", 50, seed)
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, global_batch_size=11, per_device_train_batch_size=4,
                    num_train_epochs=2, evaluation_strategy="epoch", seed=seed % 1000)
    run("lockstep-prep", job)
    run("lockstep", "train", job, ranks=2, OMP_NUM_THREADS="1")
    steps = [line for line in read_lines(tmp_path / "result" / "metrics.jsonl") if line["event"] == "step"]
    plans = inspect(job, "--ranks", "2", "--epochs", "2")
    for epoch, line in enumerate(plans):
        of_epoch = [step for step in steps if epoch < step["epoch"] <= epoch + 1]
        assert line["steps"] == len(of_epoch) == (4 if has_encoder else 5)
        assert all(step["padding"] == 0 for step in of_epoch) and line["padding"] == 0
        assert all(0 < step["mfu"] < 1 and 0 <= step["input_wait"] <= 1 for step in of_epoch)
        assert 0.5 < line["balance"] <= 1
    assert plans[0]["balance"] != plans[1]["balance"]


def test_what_is_refused(tmp_path):
    random_model("gpt2", tmp_path / "model", 1)
    job = write_job(tmp_path, tmp_path / "model", example_rows("gpt2", 5, 1), False)
    refused = run("lockstep", "inspect", job, check=False)
    assert refused.returncode == 1 and re.match("lockstep: error: .*--plan.*lockstep-prep inspect", refused.stderr)
    refused = run("lockstep", "inspect", job, "--plan", check=False)
    assert refused.returncode == 1 and str(tmp_path / "prepared" / "train") in refused.stderr
