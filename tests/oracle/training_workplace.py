"""What tests of training share: the job, its rows as ids, and the same loop in PyTorch."""

import pytest
import torch
from conftest import draw_stable, example_rows, load_saved, moved_by_an_ulp, random_model, read_lines, run, write_rows
from transformers.trainer_pt_utils import LabelSmoother


def write_job(folder, model, rows, has_encoder, **keys):
    write_rows(folder / "train.jsonl", rows)
    lines = {"pretrained_model_name": model, "has_encoder": str(has_encoder).lower(),
             "training_datasets": f"[{folder / 'train.jsonl'}]", "prepared_dir": folder / "prepared",
             "output_dir": folder / "result", "evaluation_strategy": "no", **keys}
    job = folder / "job.yaml"
    job.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return job


def encode(tokenizer, row, has_encoder):
    source = tokenizer(row["model_input"], add_special_tokens=False).input_ids
    target = tokenizer(row["model_output"], add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    if has_encoder:
        return source + [tokenizer.eos_token_id], target
    begins = tokenizer("").input_ids  # BOS, where the tokenizer adds one
    return begins + source, target


def torch_loss_sum(model, source, target, has_encoder, smoothing=0.0):
    """The sum over the target's tokens, one row at a time, so that there is no padding."""
    if has_encoder:
        logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]
    else:
        logits = model(input_ids=torch.tensor([source + target])).logits[0, len(source) - 1:-1]
    if smoothing:
        return LabelSmoother(smoothing)({"logits": logits}, torch.tensor(target), num_items_in_batch=1)
    return torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="sum")


def torch_optimizer(model, steps, learning_rate, weight_decay, warmup):
    """AdamW, with parameters grouped as the Hugging Face Trainer does, and its linear schedule."""
    decayed = [p for n, p in model.named_parameters() if p.dim() > 1 and "bias" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() == 1 or "bias" in n]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}],
                                  lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: step / warmup if step < warmup else (steps - step) / (steps - warmup))
    return optimizer, schedule


def torch_steps(model, batches, has_encoder, learning_rate, weight_decay, warmup, smoothing=0.0):
    """The losses and the norms of gradients of a step a batch, clipping at 1."""
    optimizer, schedule = torch_optimizer(model, len(batches), learning_rate, weight_decay, warmup)
    losses, norms = [], []
    model.train()
    for examples in batches:
        tokens = sum(len(target) for _, target in examples)
        optimizer.zero_grad()
        total = 0.0
        for source, target in examples:
            loss = torch_loss_sum(model, source, target, has_encoder, smoothing) / tokens
            loss.backward()
            total += loss.item()
        losses.append(total)
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        schedule.step()
    return losses, norms


def torch_losses(*arguments, **options):
    return torch_steps(*arguments, **options)[0]


def stable_training(kind, folder, seed, count, steps, optimizer, tolerances, smoothing=0.0, rounded=moved_by_an_ulp, **config):
    """A random model saved in `folder`, `count` rows, and their steps in PyTorch, of which rounding moves the losses, and the
    norms of gradients if there are two `tolerances`, by less than a quarter of these: rows, examples, the trained model,
    losses and norms.

    `optimizer`: learning rate, weight decay and warm-up. `rounded(model)`: a copy that differs by rounding.
    """
    has_encoder = kind.startswith("t5")
    rows = example_rows("t5" if has_encoder else "gpt2", count, seed)

    def draw(attempt):
        model = random_model(kind, folder, seed + 1000 * attempt, **without_dropout(kind), **config)
        moved = rounded(model)
        tokenizer = load_saved(kind, folder)[1]
        examples = [encode(tokenizer, row, has_encoder) for row in rows]
        expected, found = (torch_steps(which, [examples] * steps, has_encoder, *optimizer, smoothing) for which in (model, moved))
        if all(a == pytest.approx(b, rel=tolerance / 4) for a, b, tolerance in zip(found, expected, tolerances)):
            return rows, examples, model, *expected
        return None

    return draw_stable(draw)


def steps_of(folder):
    return [line for line in read_lines(folder / "metrics.jsonl") if line["event"] == "step"]


def step_losses(folder):
    return [line["loss"] for line in steps_of(folder)]


def rows_apart(kind, tokenizer, has_encoder, count, seed):
    """Rows that tell themselves apart by their numbers of tokens, which are the keys, and examples."""
    rows = {}
    for row in example_rows(kind, 200, seed):
        source, target = encode(tokenizer, row, has_encoder)
        rows.setdefault((len(source) + len(target), len(target)), row)
    rows = dict(list(rows.items())[:count])
    assert len(rows) == count
    return list(rows.values()), {key: encode(tokenizer, row, has_encoder) for key, row in rows.items()}


def order_of(job, examples, count):
    """The first `count` examples that a job takes, by a run a row a step: their order depends on the seed alone."""
    output = job.parent / "order"
    run("lockstep", "train", job, f"output_dir={output}", "global_batch_size=1", "learning_rate=0", f"max_steps={count}")
    order = [examples[line["tokens"], line["target_tokens"]] for line in steps_of(output)]
    assert len(order) == count
    return order


def without_kinks(kind):
    """In the config of a model: no ReLU, whose gradient jumps, so that rounding moves what follows by more than rounding."""
    return {"t5-v1.0": {"feed_forward_proj": "gelu"}, "gpt2": {"activation_function": "gelu_new"}}.get(kind, {})


def without_dropout(kind):
    """In the config of a model."""
    if kind.startswith("t5"):
        return {"dropout_rate": 0.0}
    return {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if kind == "gpt2" else {}
