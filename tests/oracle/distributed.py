"""Ranks: any number of them and any sharding of the optimizer train the same model, which
PyTorch's DistributedDataParallel trains, too; and one that fails ends the job."""

import os
import random
import re
import signal
import socket
import time

import pytest
import torch
from conftest import example_rows, load_saved, random_model, read_lines, run, setting, write_rows
from ddp_loop import train_rank
from long_job import MPIRUN, TIMEOUT, LongJob, wait_until, write_long_job
from safetensors.torch import load_file
from training_workplace import order_of, rows_apart, step_losses, without_dropout, without_kinks, write_job

KINDS = ["t5-v1.1", "gpt2", "llama"]
CASES = setting("CASES", 1)
SHARDINGS = ["none", "state", "state_and_gradients", "full"]


def result_of(folder):
    """The losses of steps and of evaluations, and the weights."""
    lines = read_lines(folder / "metrics.jsonl")
    evaluations = [line["eval_loss"] for line in lines if line["event"] == "evaluation"]
    return step_losses(folder) + evaluations, load_file(folder / "model.safetensors")


def distance(found, expected):
    """Relative, of all weights together: AdamW makes much of the rounding of a single gradient that is nearly 0."""
    assert found.keys() == expected.keys()
    difference = sum((tensor - expected[name]).square().sum() for name, tensor in found.items()).sqrt()
    return difference / sum(tensor.square().sum() for tensor in expected.values()).sqrt()


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_and_sharding_change_nothing(kind, seed, tmp_path):
    rng = random.Random(seed)
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed, **without_kinks(kind))
    rows = example_rows("t5" if has_encoder else "gpt2", 42, seed)
    # Validation batches, 3 of them, are too few for 4 ranks and uneven for 2.
    validation = write_rows(tmp_path / "validation.jsonl", rows[37:])
    job = write_job(tmp_path, tmp_path / "model", rows[:37], has_encoder, max_steps=30, global_batch_size=11,
                    per_device_train_batch_size=4, learning_rate=1e-3, weight_decay=0.1, evaluation_strategy="epoch",
                    validation_datasets=f"[{validation}]", per_device_eval_batch_size=2)
    run("lockstep-prep", job)
    run("lockstep", "train", job)
    losses, weights = result_of(tmp_path / "result")
    assert len(losses) == 30 + 8  # an evaluation after each epoch of 4 steps, and at the end
    everything = [(ranks, sharding, accumulation) for ranks in (1, 2, 4, 3) for sharding in SHARDINGS
                  for accumulation in (1, 3)]
    cases = everything if setting("CASES", 2) > 2 else [(3, "full", 3), rng.choice(everything[:-8])]

    def train(name, ranks, sharding, accumulation):
        run("lockstep", "train", job, f"output_dir={tmp_path / name}", f"optimizer_sharding={sharding}",
            f"gradient_accumulation_steps={accumulation}", ranks=ranks, OMP_NUM_THREADS="1")
        return result_of(tmp_path / name)

    for case in cases:
        name = "-".join(map(str, case))
        found, tensors = train(name, *case)
        assert found == pytest.approx(losses, rel=1e-5), name
        assert distance(tensors, weights) <= 1e-4, name
    again, same = train("again", *case)
    assert again == found
    assert all(torch.equal(tensor, same[key]) for key, tensor in tensors.items()), name


@pytest.mark.parametrize("kind", KINDS)
def test_thirty_steps_follow_pytorch_ddp(kind, seed, tmp_path):
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed, **without_dropout(kind), **without_kinks(kind))
    rows, examples = rows_apart("t5" if has_encoder else "gpt2", load_saved(kind, tmp_path / "model")[1], has_encoder, 22, seed)
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, max_steps=30, global_batch_size=8,
                    per_device_train_batch_size=3, learning_rate=1e-3, weight_decay=0.1, warmup_steps=3)
    run("lockstep-prep", job)
    order = order_of(job, examples, 10 * 22)
    batches = [order[epoch + i:min(epoch + i + 8, epoch + 22)] for epoch in range(0, 10 * 22, 22) for i in range(0, 22, 8)]
    assert len(batches) == 30
    torch.multiprocessing.spawn(train_rank, (2, tmp_path, kind, batches, (1e-3, 0.1, 3)), nprocs=2)
    expected = torch.load(tmp_path / "ddp.pt")

    for sharding in SHARDINGS:
        output = tmp_path / sharding
        run("lockstep", "train", job, f"output_dir={output}", f"optimizer_sharding={sharding}", ranks=2, OMP_NUM_THREADS="1")
        assert step_losses(output) == pytest.approx(expected["losses"], rel=1e-5)
        saved = load_saved(kind, output)[0].state_dict()
        assert distance(saved, expected["weights"]) <= 1e-4


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_a_rank_that_is_stopped_ends_the_job_in_time(sharding, tmp_path):
    job = write_long_job(tmp_path, optimizer_sharding=sharding)
    with LongJob(job, [*MPIRUN, "-n", 3]) as running:
        running.wait_for_steps()
        os.kill(random.choice(running.processes()), signal.SIGSTOP)
        running.assert_ends_with_one_error("rank ", f" on {socket.gethostname()}", "step ", f"collective_timeout_s: {TIMEOUT}")


def test_a_rank_that_is_killed_ends_the_job(tmp_path):
    job = write_long_job(tmp_path)
    for _ in range(setting("KILLS", 3)):
        with LongJob(job, [*MPIRUN, "-n", 3], "overwrite_output_dir=true") as running:
            running.wait_for_steps()
            time.sleep(random.random() / 5)
            os.kill(random.choice(running.processes()), signal.SIGKILL)
            running.assert_ends()
        (tmp_path / "result" / "metrics.jsonl").unlink()


def test_a_slow_rank_is_waited_for_without_a_limit(tmp_path):
    with LongJob(write_long_job(tmp_path), [*MPIRUN, "-n", 2]) as running:
        running.wait_for_steps()
        slow = running.ranks()[1]
        for _ in range(3):  # each time shorter than the limit
            os.kill(slow, signal.SIGSTOP)
            time.sleep(TIMEOUT / 2)
            os.kill(slow, signal.SIGCONT)
            time.sleep(0.2)
        assert running.launcher.poll() is None
        lines = running.metrics_lines()
        wait_until(lambda: running.metrics_lines() > lines, 5, running.stderr)


@pytest.mark.parametrize("ranks", [None, 2])
def test_a_folder_is_held_by_one_run_and_by_no_dead_one(ranks, tmp_path):
    job = write_long_job(tmp_path)
    launcher = [] if ranks is None else [*MPIRUN, "-n", ranks]
    with LongJob(job, launcher) as running:
        running.wait_for_steps()
        for overrides in [[], ["overwrite_output_dir=true"], ["resume_from_checkpoint=never", "overwrite_output_dir=true"]]:
            second = run("lockstep", "train", job, *overrides, check=False, ranks=ranks)
            assert second.returncode != 0
            assert re.search(r"result: expected a folder that no other run writes to, found one held by process \d+ on host", second.stderr)
        steps = running.metrics_lines()
        running.wait_for_steps(steps + 3)
    assert (tmp_path / "result" / ".lockstep.lock").exists()  # it was killed
    run("lockstep", "train", job, "max_steps=2", "overwrite_output_dir=true", ranks=ranks)
    assert not (tmp_path / "result" / ".lockstep.lock").exists()
    assert [line["step"] for line in read_lines(tmp_path / "result" / "metrics.jsonl")] == [1, 2]
