"""Every optimizer (`optim`) against its reference, among ranks, and resumed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import transformers
from conftest import draw_stable, example_rows, load_saved, moved_by_an_ulp, random_model, run, setting
from distributed import distance
from safetensors.torch import load_file
from training_workplace import encode, step_losses, torch_loss_sum, without_dropout, without_kinks, write_job

torch.set_num_threads(1)  # small models: more threads only wait for each other

KINDS = ["t5-v1.1", "gpt2", "llama"]
CASES = setting("CASES", 1)
SHARDINGS = ["none", "state", "state_and_gradients", "full"]


def kinds_whose_weights_follow(optim):
    """Rounding moves weights by no more than rounding. GPT-2's key biases, whose gradient is 0 but for rounding, are a third
    of a tensor, of which Adafactor clips the whole by its root mean square: the other biases of it follow the noise."""
    return [kind for kind in KINDS if (optim, kind) != ("adafactor", "gpt2")]


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023."""

    def __init__(self, groups, lr, betas):
        super().__init__(groups, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            rate, (beta1, beta2) = group["lr"], group["betas"]
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                direction = torch.sign(beta1 * momentum + (1 - beta1) * p.grad)
                p.sub_(rate * (direction + group["weight_decay"] * p))
                momentum.copy_(beta2 * momentum + (1 - beta2) * p.grad)


@dataclass(frozen=True)
class Optimizer:
    """`reference` makes it from groups of parameters and a learning rate, with betas 0.9 and 0.99. After ten steps at
    `learning_rate`, weights have moved as the reference moves them, but for a share of at most `tolerance`."""
    reference: Callable
    learning_rate: float = 5e-3
    tolerance: float = 2e-3

    @property
    def careful_rate(self):
        return min(self.learning_rate, 1e-3)


OPTIMIZERS = {
    "adamw": Optimizer(lambda groups, rate: torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))),
    # As the Trainer makes it.
    "adafactor": Optimizer(lambda groups, rate: transformers.optimization.Adafactor(
        groups, lr=rate, scale_parameter=False, relative_step=False)),
    # Lion steps by the sign of gradients, also of those that are nearly 0.
    "lion": Optimizer(lambda groups, rate: Lion(groups, rate, (0.9, 0.99)), learning_rate=2e-4, tolerance=1e-2),
}


def reference(optim, model, learning_rate, weight_decay):
    decayed = [p for n, p in model.named_parameters() if p.dim() > 1 and "bias" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() == 1 or "bias" in n]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return OPTIMIZERS[optim].reference(groups, learning_rate)


def reference_losses(optimizer, schedule, model, examples, has_encoder, steps):
    losses = []
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        tokens = sum(len(target) for _, target in examples)
        loss = sum(torch_loss_sum(model, source, target, has_encoder) for source, target in examples) / tokens
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return losses


def without_key_biases(weights):
    """Their gradient is 0 but for rounding, of which Adafactor, whose epsilon is 1e-30, makes full steps."""
    return {name: tensor for name, tensor in weights.items() if not name.endswith(("attn.bias", "k_proj.bias"))}


def weights_of(model):
    return without_key_biases({name: parameter.detach().clone() for name, parameter in model.named_parameters()})


def weights_distance(folder, expected):
    return distance(without_key_biases(load_file(folder / "model.safetensors")), without_key_biases(expected))


def small_job(kind, folder, seed, rows=12, **keys):
    has_encoder = kind.startswith("t5")
    model = random_model(kind, folder / "model", seed, **without_dropout(kind), **without_kinks(kind))
    rows = example_rows("t5" if has_encoder else "gpt2", rows, seed)
    job = write_job(folder, folder / "model", rows, has_encoder, weight_decay=0.1, adam_beta2=0.99,
                    **{"max_steps": 10, "global_batch_size": 12, "per_device_train_batch_size": 5, **keys})
    run("lockstep-prep", job)
    return job, model, rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_ten_steps_follow_the_reference(optim, kind, seed, tmp_path):
    has_encoder = kind.startswith("t5")
    rate, tolerance = OPTIMIZERS[optim].learning_rate, OPTIMIZERS[optim].tolerance
    if kind not in kinds_whose_weights_follow(optim):
        rate = OPTIMIZERS[optim].careful_rate  # or rounding would decide in most models

    def follow_reference(model, folder, rows):
        """The losses of ten steps, and the weights after them."""
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
        examples = [encode(tokenizer, row, has_encoder) for row in rows]
        optimizer = reference(optim, model, rate, 0.1)
        schedule = transformers.get_cosine_schedule_with_warmup(optimizer, 2, 10)
        return reference_losses(optimizer, schedule, model, examples, has_encoder, 10), weights_of(model)

    def assert_close(found, expected, before, part=1):
        (losses, weights), (expected_losses, expected_weights) = found, expected
        assert losses == pytest.approx(expected_losses, rel=part * 1e-4)
        moved = {name: weight - before[name] for name, weight in expected_weights.items()}
        found_moved = {name: weights[name] - before[name] for name in moved}
        assert distance(found_moved, moved) <= part * tolerance

    def draw(attempt):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        job, model, rows = small_job(kind, folder, seed + 1000 * attempt, learning_rate=rate, optim=optim, warmup_steps=2,
                                     lr_scheduler_type="cosine")
        before, moved = weights_of(model), moved_by_an_ulp(model)
        expected = follow_reference(model, folder, rows)
        try:
            assert_close(follow_reference(moved, folder, rows), expected, before, part=0.25)
        except AssertionError:
            return None
        return job, before, expected

    job, before, expected = draw_stable(draw)
    run("lockstep", "train", job)
    result = job.parent / "result"
    assert expected[0][-1] < expected[0][0]
    assert_close((step_losses(result), weights_of(load_saved(kind, result)[0])), expected, before)


@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_ranks_and_sharding_change_nothing(optim, seed, tmp_path):
    kind = random.Random(seed).choice(kinds_whose_weights_follow(optim))
    job, _, _ = small_job(kind, tmp_path, seed, rows=20, learning_rate=OPTIMIZERS[optim].careful_rate, optim=optim)
    run("lockstep", "train", job)
    losses, weights = step_losses(tmp_path / "result"), load_file(tmp_path / "result" / "model.safetensors")
    for ranks, sharding in [(2, SHARDINGS[seed % 3]), (3, "full")]:
        output = tmp_path / sharding
        run("lockstep", "train", job, f"output_dir={output}", f"optimizer_sharding={sharding}", ranks=ranks, OMP_NUM_THREADS="1")
        assert step_losses(output) == pytest.approx(losses, rel=1e-5), sharding
        assert weights_distance(output, weights) <= 1e-4, sharding


@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_a_run_that_is_resumed_has_the_bits_of_an_undisturbed_one(optim, seed, tmp_path):
    rng = random.Random(seed)
    kind = rng.choice(KINDS)
    job, _, _ = small_job(kind, tmp_path, seed, rows=20, learning_rate=OPTIMIZERS[optim].careful_rate, optim=optim,
                          lr_scheduler_type="constant", save_strategy="steps", save_steps=4,
                          optimizer_sharding=rng.choice(SHARDINGS))

    def train(name, steps, ranks, *overrides, **options):
        return run("lockstep", "train", job, f"output_dir={tmp_path / name}", f"max_steps={steps}", *overrides, ranks=ranks,
                   OMP_NUM_THREADS="1", **options)

    train("whole", 8, 2)
    expected = load_file(tmp_path / "whole" / "model.safetensors")
    train("resumed", 4, 2)
    other = rng.choice([name for name in OPTIMIZERS if name != optim])
    refused = train("resumed", 8, 2, f"optim={other}", check=False)
    assert refused.returncode == 1
    assert f'optim: expected "{optim}", found "{other}"' in refused.stderr
    train("resumed", 8, 2)
    found = load_file(tmp_path / "resumed" / "model.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())

    if kind not in kinds_whose_weights_follow(optim):
        return
    train("elsewhere", 4, 3)
    train("elsewhere", 8, None, "optimizer_sharding=state")
    assert weights_distance(tmp_path / "elsewhere", expected) <= 1e-4
