"""Checkpoints: a run that is killed, stopped, or given other ranks at any moment ends as if nothing had happened, and
transformers and peft open each of them.

LOCKSTEP_KILLS sets how often each run is killed, LOCKSTEP_CASES above 2 all pairs of model and sharding, LOCKSTEP_SEED
repeats what failed.
"""

import hashlib
import json
import os
import shutil
import signal
import time

import pytest
from conftest import example_rows, load_saved, random_model, read_lines, run, setting, write_rows
from distributed import SHARDINGS, distance, result_of
from long_job import MPIRUN, LongJob, listens, wait_until
from safetensors.torch import load_file
from training_workplace import write_job

KILLS = setting("KILLS", 5)
STOPPED = 85
TIMES = ("seconds", "tokens_per_second", "mfu", "input_wait")


def prepare(folder, kind, rows=24, validation=8, **keys):
    """A job, its data prepared, whose output_dir is `folder`/result."""
    if not (folder / "model").exists():
        random_model(kind, folder / "model", 3)
    has_encoder = kind.startswith("t5")
    examples = example_rows("t5" if has_encoder else "gpt2", rows + validation, 1)
    keys = {"validation_datasets": f"[{write_rows(folder / 'validation.jsonl', examples[rows:])}]", "evaluation_strategy": "epoch",
            "learning_rate": 1e-3, "weight_decay": 0.1, "global_batch_size": 4, "per_device_train_batch_size": 2, **keys}
    keys = {key: value for key, value in keys.items() if value is not None}
    job = write_job(folder, folder / "model", examples[:rows], has_encoder, **keys)
    run("lockstep-prep", job)
    return job


class Training(LongJob):
    """`lockstep train` on so many ranks, or without a launcher."""

    def __init__(self, job, *overrides, ranks=None):
        super().__init__(job, [] if ranks is None else [*MPIRUN, "-n", ranks], *overrides)
        self.world_size = ranks or 1
        self.output = output_of(job, *overrides)

    def pids(self):
        return [pid for pid in [self.launcher.pid, *self.processes()] if self.name_of(pid) == "lockstep"]

    def pids_of_all(self):
        """Once all have handlers for the signals that ask them to stop. To be called before the moment of a signal, since a
        busy machine takes a second to tell."""
        signals = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
        assert self.wait_for(lambda: len(self.pids()) == self.world_size and all(listens(pid, signals) for pid in self.pids())), self.stderr()
        return self.pids()

    def is_over(self):
        return self.launcher.poll() is not None

    def wait_for(self, condition):
        """False if the run has ended before."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, self.stderr()
            if self.is_over():
                return False
            time.sleep(0.002)
        return True

    def signal(self, number, pids):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # it has ended

    def finish(self):
        """The exit code, once nothing is left of the run."""
        code = self.launcher.wait(timeout=120)
        wait_until(lambda: not self.processes(), 15, lambda: f"left: {self.processes()}")
        return code


def output_of(job, *overrides):
    named = [text.split("=", 1)[1] for text in map(str, overrides) if text.startswith("output_dir=")]
    return type(job)(named[-1]) if named else job.parent / "result"


def train(job, *overrides, ranks=None):
    """To the end; what the run says."""
    with Training(job, *overrides, ranks=ranks) as running:
        assert running.finish() == 0, running.stderr()
        return running.stderr()


def checkpoints_of(output):
    return sorted(output.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


def steps_of_checkpoints(output):
    return [int(path.name.split("-")[1]) for path in checkpoints_of(output)]


def is_whole(checkpoint):
    try:
        manifest = json.loads((checkpoint / "manifest.json").read_text())
        contents = {file["name"]: (checkpoint / file["name"]).read_bytes() for file in manifest["files"]}
    except FileNotFoundError:
        return False
    assert {"trainer_state.json", "tokenizer_config.json"} <= contents.keys()
    assert {path.name for path in checkpoint.iterdir()} == {*contents, "manifest.json"}
    return all(len(contents[file["name"]]) == file["bytes"] and
               hashlib.sha256(contents[file["name"]]).hexdigest() == file["sha256"] for file in manifest["files"])


def metrics_of(output):
    return [{key: value for key, value in line.items() if key not in TIMES} for line in read_lines(output / "metrics.jsonl")]


def predictions_of(output, rows):
    answers = output.parent / f"{output.name}-answers.jsonl"
    run("lockstep", "generate", "--model", output, "--input", rows, "--output", answers, "--max-new-tokens", 8, OMP_NUM_THREADS="1")
    return answers.read_bytes()


def assert_same_run(output, expected, weights="model.safetensors"):
    assert metrics_of(output) == metrics_of(expected)
    assert (output / weights).read_bytes() == (expected / weights).read_bytes()


# When a run is killed: at any moment from its start on; while it takes steps; while it writes a checkpoint, or renames it.
def wait_to_kill(running, rng, duration):
    when = rng.choice(["start", "step", "save"])
    if when == "start":
        time.sleep(rng.uniform(0, duration))
    elif when == "step":
        seen = running.metrics_lines()
        running.wait_for(lambda: running.metrics_lines() > seen + rng.randrange(6))
        time.sleep(rng.uniform(0, 0.05))
    else:
        running.wait_for(lambda: any(running.output.glob(".checkpoint-*.partial")))
        time.sleep(rng.choice([0, rng.uniform(0, 0.03)]))


@pytest.mark.parametrize("kind,ranks", [("t5-v1.1", None), ("gpt2", 2)])
def test_killed_at_any_moment_and_started_again(kind, ranks, rng, tmp_path):
    limit = rng.choice([None, 1, 2])
    job = prepare(tmp_path, kind, num_train_epochs=3, save_strategy="steps", save_steps=rng.choice([1, 2, 3]), save_total_limit=limit,
                  optimizer_sharding=rng.choice(SHARDINGS))
    print(job.read_text())
    output, undisturbed = tmp_path / "result", tmp_path / "undisturbed"
    begin = time.monotonic()
    train(job, f"output_dir={undisturbed}", ranks=ranks)
    duration = time.monotonic() - begin
    answers = predictions_of(undisturbed, tmp_path / "validation.jsonl")
    kills = resumed = 0
    while kills < KILLS:
        shutil.rmtree(output, ignore_errors=True)
        had_one = False
        for life in range(1000):
            with Training(job, ranks=ranks) as running:
                # Each of them, or one, which takes the others with it.
                if kills < KILLS and life < 3 + KILLS // 10:
                    wait_to_kill(running, rng, duration)
                    pids = running.pids()
                    running.signal(signal.SIGKILL, rng.choice([pids, [rng.choice(pids)]]) if pids else [])
                code = running.finish()
                resumes = "resuming from" in running.stderr()
                resumed += resumes
                whole = any(map(is_whole, checkpoints_of(output)))
                assert whole or not had_one, running.stderr()
                if code == 0:
                    assert resumes == had_one, running.stderr()
                    break
                had_one = whole
                assert "lockstep: error:" not in running.stderr() or ranks, running.stderr()
                kills += 1
        assert_same_run(output, undisturbed)
        assert predictions_of(output, tmp_path / "validation.jsonl") == answers
        assert all(map(is_whole, checkpoints_of(output)))
        assert not list(output.glob(".checkpoint-*")) and len(checkpoints_of(output)) <= (limit or 100)
    print(f"{kills} kills, {resumed} times resumed")


EVERY_PAIR = [(kind, sharding) for kind in ("t5-v1.1", "gpt2") for sharding in SHARDINGS]
PAIRS = EVERY_PAIR if setting("CASES", 2) > 2 else [EVERY_PAIR[i] for i in (0, 5, 2, 7)]


@pytest.mark.parametrize("kind,sharding", PAIRS)
def test_other_ranks_and_sizes_go_on(kind, sharding, rng, tmp_path):
    """Without global_batch_size, too: then the batch is that of the checkpoint, and not what the ranks would take."""
    sizes = rng.choice([{"global_batch_size": 96}, {"global_batch_size": None, "gradient_accumulation_steps": 24}])
    job = prepare(tmp_path, kind, rows=300, max_steps=60, optimizer_sharding=sharding, **sizes)
    undisturbed = tmp_path / "undisturbed"
    train(job, f"output_dir={undisturbed}", ranks=2)
    for ranks, rows, lines in [(2, 2, 8), (3, 1, 20)]:
        with Training(job, f"per_device_train_batch_size={rows}", ranks=ranks) as running:
            rank = rng.choice(running.pids_of_all())
            before = running.metrics_lines()
            assert running.wait_for(lambda: running.metrics_lines() >= before + lines), running.stderr()
            running.signal(rng.choice([signal.SIGTERM, signal.SIGUSR1]), [rank])
            assert running.finish() == STOPPED, running.stderr()
    said = train(job, "per_device_train_batch_size=5", f"optimizer_sharding={rng.choice(SHARDINGS)}", ranks=1)
    assert "resuming from" in said
    losses, weights = result_of(tmp_path / "result")
    expected_losses, expected_weights = result_of(undisturbed)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    assert distance(weights, expected_weights) <= 1e-4
    assert [line["step"] for line in metrics_of(tmp_path / "result")] == [line["step"] for line in metrics_of(undisturbed)]


class TestStop:
    """Asked to stop within a step of many micro-batches and within an evaluation, a run goes on from there."""

    EPOCH = 2  # steps

    @pytest.fixture(scope="class", params=[None, 2], ids=lambda ranks: f"ranks{ranks}")
    def workplace(self, request, tmp_path_factory):
        folder = tmp_path_factory.mktemp("stop")
        job = prepare(folder, "gpt2", rows=600, validation=900, num_train_epochs=4, global_batch_size=300, per_device_train_batch_size=1,
                      per_device_eval_batch_size=1, save_strategy="no")
        train(job, f"output_dir={folder / 'undisturbed'}", ranks=request.param)
        return folder, job, request.param

    def stop(self, running, how, rank):
        if how == "STOP":
            (running.output / "STOP").touch()
        else:
            running.signal(how, [rank])
        assert running.finish() == STOPPED, running.stderr()
        # Once, by rank 0.
        (said,) = (line for line in running.stderr().splitlines() if "stopped: " in line)
        assert "run the same command again" in said and (how.name if how != "STOP" else "STOP") in said

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, "STOP"])
    def test_in_a_step_and_in_an_evaluation(self, workplace, how, rng):
        """In whichever step or evaluation the request arrives: what is saved is the last whole step, and its line the last."""
        folder, job, ranks = workplace
        output = folder / "result"
        shutil.rmtree(output, ignore_errors=True)
        stopped_at = []
        for begun in [1, self.EPOCH]:
            with Training(job, ranks=ranks) as running:
                rank = rng.choice(running.pids_of_all())  # the others hear of the signal from this one
                assert running.wait_for(lambda: running.metrics_lines() >= max([begun, *stopped_at]))
                time.sleep(rng.uniform(0, 0.05))
                self.stop(running, how, rank)
            stopped_at.append(steps_of_checkpoints(output)[-1])
            assert all(map(is_whole, checkpoints_of(output)))
            assert max(line["step"] for line in read_lines(output / "metrics.jsonl")) == stopped_at[-1] >= begun
            if how == "STOP":
                assert (output / "STOPPED").exists() and not (output / "STOP").exists()
        said = train(job, ranks=ranks)
        assert f"after step {stopped_at[-1]}" in said and not (output / "STOPPED").exists()
        assert_same_run(output, folder / "undisturbed")

    def test_while_it_loads(self, workplace, rng):
        folder, job, ranks = workplace
        output = folder / "result"
        shutil.rmtree(output, ignore_errors=True)
        with Training(job, ranks=ranks) as running:
            assert running.wait_for(running.pids)
            time.sleep(rng.uniform(0, 0.3))
            running.signal(signal.SIGTERM, running.pids())
            code = running.finish()
        # Before it listens to signals, it ends as any program does.
        assert code in (STOPPED, -signal.SIGTERM, 128 + signal.SIGTERM), running.stderr()
        train(job, ranks=ranks)
        assert_same_run(output, folder / "undisturbed")


class TestStrategies:
    """Epochs of 4 steps, 3 of them."""

    @pytest.fixture(scope="class")
    def job(self, tmp_path_factory):
        return prepare(tmp_path_factory.mktemp("strategies"), "gpt2", rows=15, num_train_epochs=3)

    @pytest.mark.parametrize("keys,steps", [
        (["save_strategy=no"], []), (["save_strategy=epoch"], [4, 8, 12]), (["save_strategy=steps", "save_steps=5"], [5, 10]),
        (["save_strategy=steps", "save_steps=2", "save_total_limit=3"], [8, 10, 12]), (["save_strategy=epoch", "save_total_limit=1"], [12]),
        (["save_strategy=time", "save_interval_minutes=0"], list(range(1, 13))), (["save_strategy=time"], [])])
    def test_when_checkpoints_are_saved(self, job, keys, steps, tmp_path):
        train(job, f"output_dir={tmp_path / 'result'}", *keys)
        assert steps_of_checkpoints(tmp_path / "result") == steps
        assert all(map(is_whole, checkpoints_of(tmp_path / "result")))
        if steps and steps[-1] == 12:
            weights = (tmp_path / "result" / "model.safetensors").read_bytes()
            assert (tmp_path / "result" / "checkpoint-000012" / "model.safetensors").read_bytes() == weights


def evaluations_of(output):
    return {line["step"]: line["eval_loss"] for line in read_lines(output / "metrics.jsonl") if line["event"] == "evaluation"}


@pytest.mark.parametrize("ranks", [None, 2])
def test_the_best_model_is_kept_and_training_ends_early(ranks, rng, tmp_path):
    """Few rows learnt by heart: the loss of others falls and rises."""
    job = prepare(tmp_path, "gpt2", rows=8, max_steps=400, learning_rate=4e-3, lr_scheduler_type="constant", weight_decay=0,
                  load_best_model_at_end="true", early_stopping_patience=3, save_strategy="epoch", save_total_limit=1)
    output, undisturbed = tmp_path / "result", tmp_path / "undisturbed"
    said = train(job, f"output_dir={undisturbed}", ranks=ranks)
    losses = evaluations_of(undisturbed)
    best, last = min(losses, key=losses.get), max(losses)
    assert 2 < best and last == best + 3 * 2 and "early_stopping_patience" in said
    assert steps_of_checkpoints(undisturbed) == [best, last]
    assert (undisturbed / "model.safetensors").read_bytes() == (undisturbed / f"checkpoint-{best:06}" / "model.safetensors").read_bytes()
    evaluated = json.loads(run("lockstep", "evaluate", "--model", undisturbed, "--dataset", tmp_path / "validation.jsonl", "--output",
                               tmp_path / "rows.jsonl").stdout)
    assert evaluated["loss_sum"] / evaluated["target_tokens"] == pytest.approx(losses[best], rel=1e-5)
    # The best of before counts after a stop, too.
    with Training(job, ranks=ranks) as running:
        rank = rng.choice(running.pids_of_all())
        assert running.wait_for(lambda: len(evaluations_of(output)) > best // 2 if (output / "metrics.jsonl").exists() else False)
        running.signal(signal.SIGTERM, [rank])
        assert running.finish() == STOPPED, running.stderr()
    train(job, ranks=ranks)
    assert_same_run(output, undisturbed)
    assert steps_of_checkpoints(output) == [best, last]


@pytest.mark.parametrize("kind", ["t5-v1.0", "t5-v1.1", "gpt2", "llama"])
def test_transformers_opens_every_checkpoint(kind, tmp_path):
    import torch

    job = prepare(tmp_path, kind, max_steps=5, evaluation_strategy="no", save_strategy="steps", save_steps=2)
    train(job)
    assert steps_of_checkpoints(tmp_path / "result") == [2, 4]
    for checkpoint in checkpoints_of(tmp_path / "result"):
        model, tokenizer, info = load_saved(kind, checkpoint)
        assert not any(info[problem] for problem in ["missing_keys", "unexpected_keys", "mismatched_keys"]), info
        text = read_lines(tmp_path / "train.jsonl")[0]["model_input"]
        expected = load_saved(kind, tmp_path / "model")[1](text).input_ids
        assert tokenizer(text).input_ids == expected
        ids = torch.tensor([expected])
        with torch.no_grad():
            logits = model(input_ids=ids, **({"decoder_input_ids": ids} if kind.startswith("t5") else {})).logits
        assert torch.isfinite(logits).all()
        # lockstep does, too.
        run("lockstep", "generate", "--model", checkpoint, "--input", tmp_path / "validation.jsonl", "--output", tmp_path / "answers.jsonl",
            "--max-new-tokens", 3)
    assert load_file(checkpoint / "model.safetensors").keys() == load_file(tmp_path / "result" / "model.safetensors").keys()


@pytest.mark.parametrize("kind,sharding", [("t5-v1.1", "state"), ("gpt2", "full")])
def test_an_adapter_is_resumed_and_peft_opens_it(kind, sharding, rng, tmp_path):
    import peft

    job = prepare(tmp_path, kind, max_steps=12, save_strategy="steps", save_steps=4, peft_type="lora", lora_dropout=0.1,
                  lora_target_modules="all-linear", optimizer_sharding=sharding)
    output, undisturbed = tmp_path / "result", tmp_path / "undisturbed"
    train(job, f"output_dir={undisturbed}", ranks=2)
    assert steps_of_checkpoints(undisturbed) == [4, 8, 12]
    for checkpoint in checkpoints_of(undisturbed):
        assert is_whole(checkpoint) and not (checkpoint / "model.safetensors").exists()
        base, _, _ = load_saved(kind, tmp_path / "model")
        adapted = peft.PeftModel.from_pretrained(base, checkpoint)
        saved = load_file(checkpoint / "adapter_model.safetensors")
        opened = {name.replace(".default.", "."): tensor for name, tensor in adapted.named_parameters() if "lora_" in name}
        assert opened.keys() == saved.keys()
        assert all(tensor.equal(saved[name]) for name, tensor in opened.items())
    with Training(job, ranks=2) as running:
        rank = rng.choice(running.pids_of_all())
        assert running.wait_for(lambda: running.metrics_lines() >= 5)
        running.signal(signal.SIGTERM, [rank])
        assert running.finish() == STOPPED, running.stderr()
    train(job, ranks=2)
    assert_same_run(output, undisturbed, weights="adapter_model.safetensors")
