"""bf16 and fp16: training as in fp32 and as under PyTorch's autocast, and the loss scale of fp16."""

import copy

import pytest
import torch
from conftest import example_rows, load_saved, random_model, run, setting
from training_workplace import stable_training, step_losses, steps_of, torch_loss_sum, without_dropout, write_job

CASES = setting("CASES", 1)

torch.set_num_threads(1)  # small models: more threads only wait for each other


def rounded_to_bf16(model):
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.bfloat16())
    return rounded


@pytest.mark.parametrize("kind, dtype, sharding", [
    ("t5-v1.0", "bf16", "state"), ("t5-v1.1", "bf16", "full"), ("gpt2", "bf16", "state"), ("llama", "bf16", "full"),
    ("gpt2", "fp16", "full"), ("llama", "fp16", "state")])
def test_mixed_precision_learns_as_fp32_does_and_as_autocast(kind, dtype, sharding, seed, tmp_path):
    has_encoder = kind.startswith("t5")
    tolerance = 2e-2 if dtype == "bf16" else 4e-3
    rows, examples, _, _, _ = stable_training(kind, tmp_path / "model", seed, 12, 20, (2e-3, 0.01, 0), (tolerance,),
                                              rounded=rounded_to_bf16)
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, max_steps=20, global_batch_size=12, per_device_train_batch_size=5,
                    learning_rate=2e-3, optimizer_sharding=sharding)
    run("lockstep-prep", job)
    losses = {}
    for name in ("fp32", "mixed", "again"):
        run("lockstep", "train", job, f"{dtype}={str(name != 'fp32').lower()}", f"output_dir={tmp_path / name}",
            ranks=2 if sharding == "full" else None)
        losses[name] = step_losses(tmp_path / name)
    assert losses["mixed"] == losses["again"] != losses["fp32"]
    assert losses["mixed"] == pytest.approx(losses["fp32"], rel=tolerance)
    assert losses["mixed"][-1] < losses["mixed"][0] - 0.1
    assert all(tensor.dtype == torch.float32 for tensor in load_saved(kind, tmp_path / "mixed")[0].state_dict().values())

    model = load_saved(kind, tmp_path / "model")[0]
    with torch.autocast("cpu", dtype=torch.bfloat16 if dtype == "bf16" else torch.float16):
        first = sum(torch_loss_sum(model, *example, has_encoder).item() for example in examples)
    assert losses["mixed"][0] == pytest.approx(first / sum(len(target) for _, target in examples), rel=5e-3)


def test_the_loss_scale_of_fp16_follows_overflows_and_goes_on_from_a_checkpoint(seed, tmp_path):
    model = random_model("gpt2", tmp_path / "model", seed, **without_dropout("gpt2"))
    with torch.no_grad():
        model.transformer.wte.weight *= 20_000  # through which gradients come to the layers
    model.save_pretrained(tmp_path / "model")
    job = write_job(tmp_path, tmp_path / "model", example_rows("gpt2", 12, seed), False, max_steps=12, global_batch_size=12,
                    fp16="true", save_strategy="steps", save_steps=1)
    run("lockstep-prep", job)
    run("lockstep", "train", job)
    steps = steps_of(tmp_path / "result")
    skipped = [step["step"] for step in steps if step.get("skipped")]
    assert skipped == list(range(1, len(skipped) + 1)) and 0 < len(skipped) < 12, "not the first ones"
    scales = [step["loss_scale"] for step in steps]
    assert scales == [65536 / 2 ** min(i, len(skipped)) for i in range(12)]
    losses = [step["loss"] for step in steps]
    first_updated = len(skipped) + 1
    assert losses[:first_updated] == pytest.approx([losses[0]] * first_updated, rel=1e-6)
    assert losses[first_updated] != pytest.approx(losses[0], rel=1e-6)

    for before in (1, len(skipped) + 3):
        again = tmp_path / f"again-{before}"
        checkpoint = tmp_path / "result" / f"checkpoint-{before:06}"
        run("lockstep", "train", job, f"output_dir={again}", f"resume_from_checkpoint={checkpoint}")
        found = [step for step in steps_of(again) if step["step"] > before]
        assert [(step["loss"], step["loss_scale"]) for step in found] == [(step["loss"], step["loss_scale"]) for step in steps[before:]]


def test_fp16_is_refused_where_it_cannot_be(tmp_path):
    random_model("t5-v1.1", tmp_path / "model", 1)
    job = write_job(tmp_path, tmp_path / "model", example_rows("t5", 2, 1), True, fp16="true", test_size=0)
    run("lockstep-prep", job)
    refused = run("lockstep", "train", job, check=False)
    assert refused.returncode == 1 and "fp16: expected a decoder-only model" in refused.stderr and "use bf16: true" in refused.stderr
    refused = run("lockstep", "train", job, "bf16=true", check=False)
    assert refused.returncode == 1 and "bf16, fp16: expected one of them" in refused.stderr
