"""Where a run resumes: damaged checkpoints and those of other runs are never taken for its own."""

import os
import random
import shutil
import signal

import pytest
from checkpoints import STOPPED, Training, assert_same_run, checkpoints_of, is_whole, prepare, steps_of_checkpoints, train
from conftest import random_model, read_lines, run, write_rows
from safetensors.torch import load_file, save_file


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1 << (len(data) % 8)
    path.write_bytes(data)


def names_and_bytes(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestResume:
    """A run that was stopped behind its checkpoints 4 and 8 finds them damaged, or is not the one that wrote them."""

    @pytest.fixture(scope="class")
    def workplace(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("damage")
        job = prepare(folder, "t5-v1.1", max_steps=16, save_strategy="steps", save_steps=4)
        train(job, f"output_dir={folder / 'undisturbed'}")
        with Training(job) as running:
            pids = running.pids_of_all()
            assert running.wait_for(lambda: running.metrics_lines() >= 10), running.stderr()
            running.signal(signal.SIGUSR1, pids)
            assert running.finish() == STOPPED, running.stderr()
        steps = steps_of_checkpoints(folder / "result")
        assert steps[:2] == [4, 8] and 8 < steps[-1] < 16 and all(map(is_whole, checkpoints_of(folder / "result")))
        return folder

    @pytest.fixture
    def output(self, workplace, tmp_path):
        return shutil.copytree(workplace / "result", tmp_path / "result")

    def resume(self, workplace, output, *overrides):
        return run("lockstep", "train", workplace / "job.yaml", f"output_dir={output}", *overrides, check=False, OMP_NUM_THREADS="1")

    def refused(self, workplace, output, *overrides, names):
        before = names_and_bytes(output)
        finished = self.resume(workplace, output, *overrides)
        assert finished.returncode == 1, finished.stderr
        errors = [line for line in finished.stderr.splitlines() if line.startswith("lockstep: error:")]
        assert len(errors) == 1, finished.stderr
        for name in names:
            assert name in errors[0], errors[0]
        assert names_and_bytes(output) == before
        return finished.stderr

    @pytest.mark.parametrize("name,damage,flaw", [
        ("model.safetensors", truncate, "expected "), ("model.safetensors", flip_bit, "its bytes differ from those that were written"),
        ("optimizer-00000-of-00001.safetensors", truncate, "expected "),
        ("optimizer-00000-of-00001.safetensors", flip_bit, "its bytes differ from those that were written"),
        ("trainer_state.json", flip_bit, "its bytes differ from those that were written"),
        ("tokenizer_config.json", os.remove, "missing"), ("manifest.json", os.remove, "missing"),
        ("manifest.json", lambda path: path.write_text("{"), "not valid JSON")])
    def test_a_damaged_checkpoint_is_skipped(self, workplace, output, name, damage, flaw):
        newest = checkpoints_of(output)[-1]
        damage(newest / name)
        finished = self.resume(workplace, output)
        assert finished.returncode == 0, finished.stderr
        (skipped,) = (line for line in finished.stderr.splitlines() if " is skipped: " in line)
        assert newest.name in skipped and f"{name}: " in skipped and flaw in skipped
        assert f"resuming from {output / 'checkpoint-000008'}" in finished.stderr
        assert_same_run(output, workplace / "undisturbed")
        assert all(map(is_whole, checkpoints_of(output)))

    def test_without_a_whole_one_nothing_is_begun(self, workplace, output):
        for checkpoint in checkpoints_of(output):
            random.choice([truncate, flip_bit])(checkpoint / "model.safetensors")
        said = self.refused(workplace, output, names=[str(output), "found none among", "overwrite_output_dir"])
        assert said.count(" is skipped: ") == 3
        finished = self.resume(workplace, output, "overwrite_output_dir=true")
        assert finished.returncode == 0 and "resuming" not in finished.stderr, finished.stderr
        assert_same_run(output, workplace / "undisturbed")

    def test_another_run_is_refused_with_the_difference(self, workplace, output, tmp_path):
        self.refused(workplace, output, "seed=7", names=["seed: expected 42, found 7", "checkpoint-", "another output_dir"])
        self.refused(workplace, output, "global_batch_size=5", names=["global_batch_size: expected 4, found 5"])
        (tmp_path / "other").mkdir()
        shutil.copytree(workplace / "model", tmp_path / "other" / "model")
        rows = read_lines(workplace / "train.jsonl")
        write_rows(tmp_path / "rows.jsonl", rows[:-1] + rows[:1])
        other = [f"training_datasets=[{tmp_path / 'rows.jsonl'}]", f"prepared_dir={tmp_path / 'prepared'}"]
        run("lockstep-prep", workplace / "job.yaml", *other)
        self.refused(workplace, output, *other, names=["training data"])
        random_model("t5-v1.1", tmp_path / "other" / "model", 4)
        shutil.copy(workplace / "model" / "config.json", tmp_path / "other" / "model")
        random_weights = load_file(workplace / "model" / "model.safetensors")
        name = sorted(random_weights)[0]
        random_weights[name][0] += 1e-3
        save_file(random_weights, tmp_path / "other" / "model" / "model.safetensors")
        self.refused(workplace, output, f"pretrained_model_name={tmp_path / 'other' / 'model'}", names=["weights"])

    def test_another_run_may_take_its_place(self, workplace, output):
        finished = self.resume(workplace, output, "seed=7", "overwrite_output_dir=true")
        assert finished.returncode == 0 and "resuming" not in finished.stderr, finished.stderr
        assert steps_of_checkpoints(output) == [4, 8, 12, 16] and all(map(is_whole, checkpoints_of(output)))
        again = self.resume(workplace, output, "seed=7", f"resume_from_checkpoint={output / 'checkpoint-000012'}", "overwrite_output_dir=true")
        assert again.returncode == 0 and "resuming" in again.stderr, again.stderr

    def test_other_settings_make_a_warning(self, workplace, output):
        finished = self.resume(workplace, output, "learning_rate=0.5")
        assert finished.returncode == 0 and "learning_rate: expected 0.001, found 0.5" in finished.stderr, finished.stderr
        assert "resuming" in finished.stderr

    def test_a_checkpoint_is_named(self, workplace, output, tmp_path):
        """Of this output_dir or of another."""
        older = output / "checkpoint-000004"
        finished = self.resume(workplace, output, f"resume_from_checkpoint={older}")
        assert finished.returncode == 0 and f"resuming from {older}" in finished.stderr, finished.stderr
        assert_same_run(output, workplace / "undisturbed")
        finished = self.resume(workplace, tmp_path / "new", f"resume_from_checkpoint={older}")
        assert finished.returncode == 0, finished.stderr
        assert (tmp_path / "new" / "model.safetensors").read_bytes() == (output / "model.safetensors").read_bytes()
        flip_bit(older / "model.safetensors")
        self.refused(workplace, tmp_path / "none", f"resume_from_checkpoint={older}", names=[str(older), "model.safetensors"])
        self.refused(workplace, tmp_path / "none", "resume_from_checkpoint=/nowhere", names=["/nowhere", "manifest.json"])

    def test_never(self, workplace, output):
        self.refused(workplace, output, "resume_from_checkpoint=never", names=["overwrite_output_dir"])
        finished = self.resume(workplace, output, "resume_from_checkpoint=never", "overwrite_output_dir=true")
        assert finished.returncode == 0 and "resuming" not in finished.stderr, finished.stderr
        assert_same_run(output, workplace / "undisturbed")
        assert steps_of_checkpoints(output) == [4, 8, 12, 16]
