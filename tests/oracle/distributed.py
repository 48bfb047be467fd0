"""Ranks: any number of them and any sharding of the optimizer train the same model, and one that fails ends the job."""

import os
import random
import signal
import socket
import subprocess
import time

import pytest
import torch
from conftest import BIN, ROOT, example_rows, load_saved, random_model, read_lines, run
from safetensors.torch import load_file
from training import step_losses, write_job

KINDS = ["t5-v1.1", "gpt2", "llama"]
SHARDINGS = ["none", "state", "state_and_gradients", "full"]
TIMEOUT = 3


def result_of(folder):
    return step_losses(folder), load_file(folder / "model.safetensors")


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_and_sharding_change_nothing(kind, seed, tmp_path):
    rng = random.Random(seed)
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed)
    rows = example_rows("t5" if has_encoder else "gpt2", 37, seed)
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, max_steps=30, global_batch_size=11,
                    per_device_train_batch_size=4, learning_rate=1e-3, weight_decay=0.1)
    run("lockstep-prep", job)
    run("lockstep", "train", job)
    losses, weights = result_of(tmp_path / "result")
    everything = [(ranks, sharding, accumulation) for ranks in (1, 2, 4, 3) for sharding in SHARDINGS
                  for accumulation in (1, 3)]
    cases = everything if int(os.environ.get("LOCKSTEP_CASES", "2")) > 2 else [(3, "full", 3), rng.choice(everything[:-8])]

    def train(name, ranks, sharding, accumulation):
        run("lockstep", "train", job, f"output_dir={tmp_path / name}", f"optimizer_sharding={sharding}",
            f"gradient_accumulation_steps={accumulation}", ranks=ranks, OMP_NUM_THREADS="1")
        return result_of(tmp_path / name)

    for case in cases:
        name = "-".join(map(str, case))
        found, tensors = train(name, *case)
        assert found == pytest.approx(losses, rel=1e-5), name
        # Together: AdamW makes much of the rounding of a single gradient that is nearly 0.
        difference = sum((tensor - weights[key]).square().sum() for key, tensor in tensors.items()).sqrt()
        assert difference <= 1e-4 * sum(tensor.square().sum() for tensor in weights.values()).sqrt(), name
    again, same = train("again", *case)
    assert again == found
    assert all(torch.equal(tensor, same[key]) for key, tensor in tensors.items()), name


def ranks_of(launcher):
    """The processes of the job, which are all of the launcher's session."""
    found = subprocess.run(["pgrep", "-s", str(launcher.pid), "-r", "RSDT", "-x", "lockstep"], capture_output=True, text=True).stdout
    return sorted(map(int, found.split()))


def start_long_job(folder, ranks, **keys):
    """A job that would take hours, once it has done a few steps; in a session of its own."""
    model = folder / "model"
    if not model.exists():
        random_model("gpt2", model, 1)
    job = write_job(folder, model, example_rows("gpt2", 20, 1), False, max_steps=10_000_000, global_batch_size=8,
                    per_device_train_batch_size=2, collective_timeout_s=TIMEOUT, **keys)
    run("lockstep-prep", job)
    errors = open(folder / "stderr", "w")
    launcher = subprocess.Popen([ROOT / "launch" / "mpirun.sh", "-n", str(ranks), BIN / "lockstep", "train", job],
                                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
                                env={**os.environ, "OMP_NUM_THREADS": "1"})
    metrics = folder / "result" / "metrics.jsonl"
    begun = time.monotonic()
    while not metrics.exists() or len(metrics.read_bytes().splitlines()) < 5:
        assert launcher.poll() is None and time.monotonic() < begun + 60, (folder / "stderr").read_text()
        time.sleep(0.05)
    return launcher


def assert_ends(launcher, folder, within):
    """With an exit code, without a process left; what it wrote on stderr."""
    try:
        code = launcher.wait(timeout=within)
    finally:
        left = ranks_of(launcher)
        subprocess.run(["pkill", "-KILL", "-s", str(launcher.pid)])
    assert code != 0
    assert not left
    assert not (folder / "result" / "model.safetensors").exists()
    return (folder / "stderr").read_text()


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_a_rank_that_is_stopped_ends_the_job_in_time(sharding, tmp_path):
    launcher = start_long_job(tmp_path, 3, optimizer_sharding=sharding)
    stopped = random.choice(ranks_of(launcher))
    os.kill(stopped, signal.SIGSTOP)
    errors = assert_ends(launcher, tmp_path, TIMEOUT + 5)
    lines = [line for line in errors.splitlines() if line.startswith("lockstep: error:")]
    assert len(lines) == 1, errors
    for words in ["rank ", f" on {socket.gethostname()}", "step ", "collective_timeout_s: 3"]:
        assert words in lines[0]


def test_a_rank_that_is_killed_ends_the_job(tmp_path):
    for attempt in range(int(os.environ.get("LOCKSTEP_KILLS", "3"))):
        launcher = start_long_job(tmp_path, 3, overwrite_output_dir="true")
        time.sleep(random.random() / 5)
        os.kill(random.choice(ranks_of(launcher)), signal.SIGKILL)
        assert_ends(launcher, tmp_path, TIMEOUT + 5)
        (tmp_path / "result" / "metrics.jsonl").unlink()


def test_a_slow_rank_is_waited_for_without_a_limit(tmp_path):
    launcher = start_long_job(tmp_path, 2)
    subprocess.run(["pkill", "-KILL", "-s", str(launcher.pid)])
    launcher.wait()
    (tmp_path / "result" / "metrics.jsonl").unlink()
    launcher = start_long_job(tmp_path, 2, overwrite_output_dir="true")
    slow = ranks_of(launcher)[1]
    for _ in range(3):  # each time shorter than the limit
        os.kill(slow, signal.SIGSTOP)
        time.sleep(TIMEOUT / 2)
        os.kill(slow, signal.SIGCONT)
        time.sleep(0.2)
    assert launcher.poll() is None
    lines = len(read_lines(tmp_path / "result" / "metrics.jsonl"))
    time.sleep(1)
    assert len((tmp_path / "result" / "metrics.jsonl").read_bytes().splitlines()) > lines
    subprocess.run(["pkill", "-KILL", "-s", str(launcher.pid)])
    launcher.wait()
