"""lockstep train where ranks do not start from the same, and where losses are not finite."""

import math
import re
import shutil
import socket

import pytest
import torch
from conftest import BIN, example_rows, load_saved, random_model, run, write_rows
from safetensors.torch import load_file, save_file
from training_workplace import encode, steps_of, write_job

HOST = socket.gethostname()


def train_apart(first, second, first_folder=None, second_folder=None):
    """Two ranks, each with arguments and a working folder of its own."""
    folder = ["-wdir", second_folder] if second_folder else []
    return run("lockstep", "train", *first, ":", "-n", 1, *folder, BIN / "lockstep", "train", *second, ranks=1, check=False,
               cwd=first_folder)


def error_of(finished):
    """The one line that a failed job leaves."""
    assert finished.returncode not in (0, -6, -11), finished.stderr
    errors = [line for line in finished.stderr.splitlines() if line.startswith("lockstep: error:")]
    assert len(errors) == 1, finished.stderr
    return errors[0]


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


class TestRanksThatDisagree:
    @pytest.fixture
    def job(self, tmp_path):
        """The model's folder is relative, so that each rank may have its own."""
        random_model("t5-v1.1", tmp_path / "first" / "model", 5)
        shutil.copytree(tmp_path / "first", tmp_path / "second")
        job = write_job(tmp_path, "model", example_rows("t5", 8, 1), True, max_steps=2, global_batch_size=4)
        run("lockstep-prep", job, cwd=tmp_path / "first")
        return job

    def refused(self, job, second, *names, first=()):
        folder = job.parent
        message = error_of(train_apart([job, *first], second, folder / "first", folder / "second"))
        for name in [f"rank 1 on {HOST}: the ranks do not agree", f"with rank 0 on {HOST}", *names]:
            assert name in message, message
        assert not (folder / "result").exists()

    def test_equal_ranks_train(self, job, tmp_path):
        finished = train_apart([job], [job], tmp_path / "first", tmp_path / "second")
        assert finished.returncode == 0, finished.stderr
        assert len(steps_of(tmp_path / "result")) == 2

    def test_another_job_file(self, job, tmp_path):
        other = tmp_path / "other.yaml"
        other.write_text(job.read_text() + "learning_rate: 2.0e-4\n")
        self.refused(job, [other], "learning_rate: expected 0.0001, found 0.0002", "job file")
        self.refused(job, [job, "seed=7", "output_dir=elsewhere"], "seed: expected 42, found 7", 'found "elsewhere"')
        self.refused(job, [job, "weights_io=broadcast"], 'weights_io: expected "each", found "broadcast"')
        assert not (tmp_path / "second" / "elsewhere").exists()

    def test_other_shards(self, job, tmp_path):
        other = write_job(tmp_path / "second", "model", example_rows("t5", 8, 2), True, max_steps=2, global_batch_size=4)
        run("lockstep-prep", other, cwd=tmp_path / "first")
        self.refused(job, [job, f"prepared_dir={tmp_path / 'second' / 'prepared'}"], "): training data: expected 8 rows (sha256 ", "prepare")

        validation = write_rows(tmp_path / "validation.jsonl", example_rows("t5", 3, 3))
        with_validation = [job, f"validation_datasets=[{validation}]", "evaluation_strategy=epoch"]
        folders = [f"prepared_dir={tmp_path / name}" for name in ["with-one", "with-another"]]
        run("lockstep-prep", *with_validation, folders[0], cwd=tmp_path / "first")
        write_rows(validation, example_rows("t5", 3, 4))
        run("lockstep-prep", *with_validation, folders[1], cwd=tmp_path / "first")
        self.refused(job, [*with_validation, folders[1]], "): validation data: expected 3 rows", first=[*with_validation[1:], folders[0]])

    def test_a_copy_of_the_shards_is_the_same(self, job, tmp_path):
        shutil.copytree(tmp_path / "prepared", tmp_path / "copy")
        finished = train_apart([job], [job, f"prepared_dir={tmp_path / 'copy'}"], tmp_path / "first", tmp_path / "second")
        assert finished.returncode == 0, finished.stderr

    def test_other_weights(self, job, tmp_path):
        name = "decoder.final_layer_norm.weight"

        def change(weights):
            weights[name][3] *= -1

        change_weights(tmp_path / "second" / "model", change)
        self.refused(job, [job], f"weights of {name}: expected ", "hash", "weights_io: broadcast")
        each = train_apart([job, "weights_io=broadcast"], [job, "weights_io=broadcast"], tmp_path / "first", tmp_path / "second")
        assert each.returncode == 0, each.stderr

    def test_another_configuration(self, job, tmp_path):
        config = tmp_path / "second" / "model" / "config.json"
        config.write_text(config.read_text().replace('"layer_norm_epsilon": 1e-06', '"layer_norm_epsilon": 1e-05'))
        self.refused(job, [job], "layer_norm_epsilon of config.json: expected 1e-06, found 1e-05")

    def test_a_launcher_that_started_others(self, job, tmp_path):
        """As where mpirun is of another MPI: each process would be alone."""
        alone = run("lockstep", "train", job, check=False, cwd=tmp_path / "first", OMPI_COMM_WORLD_SIZE="2")
        for name in ["expected 2 ranks", "OMPI_COMM_WORLD_SIZE", "found 1", "mpirun", "srun --mpi"]:
            assert name in error_of(alone)
        assert not (tmp_path / "result").exists()


class TestLossesThatAreNotFinite:
    @pytest.fixture
    def kind(self):
        return "t5-v1.1"

    def prepare(self, kind, tmp_path, rows, **keys):
        job = write_job(tmp_path, tmp_path / "model", rows, True, **keys)
        run("lockstep-prep", job)
        return job

    @pytest.mark.parametrize("number", [math.nan, math.inf])
    @pytest.mark.parametrize("ranks", [None, 2])
    def test_damaged_weights_stop_the_run(self, kind, number, ranks, tmp_path):
        random_model(kind, tmp_path / "model", 5, dropout_rate=0.0)

        def change(weights):
            weights["decoder.final_layer_norm.weight"][0] = number

        change_weights(tmp_path / "model", change)
        job = self.prepare(kind, tmp_path, example_rows("t5", 8, 1), max_steps=9, global_batch_size=8, per_device_train_batch_size=2)
        for limit, overrides in [(3, []), (0, ["max_skipped_steps=0"])]:
            finished = run("lockstep", "train", job, "overwrite_output_dir=true", *overrides, ranks=ranks, check=False)
            message = error_of(finished)
            for name in [f"step {limit + 1}: the loss", "training rows", "max_skipped_steps", "no step so far was finite", "learning_rate"]:
                assert name in message
            assert ("rank 0, 1" if ranks else "rank 0") in message
            steps = steps_of(tmp_path / "result")
            assert [step["skipped"] for step in steps] == [True] * limit
            assert all(step["loss"] is None and step["grad_norm"] is None for step in steps)
            assert not list((tmp_path / "result").glob("*.safetensors"))

    def test_a_run_without_a_finite_step_fails_however_short(self, kind, tmp_path):
        random_model(kind, tmp_path / "model", 5)
        change_weights(tmp_path / "model", lambda weights: weights["decoder.final_layer_norm.weight"].fill_(math.nan))
        job = self.prepare(kind, tmp_path, example_rows("t5", 4, 1), max_steps=2, global_batch_size=4)
        message = error_of(run("lockstep", "train", job, check=False))
        assert "step 2:" in message and "no step so far was finite" in message
        assert [step["skipped"] for step in steps_of(tmp_path / "result")] == [True]
        assert not list((tmp_path / "result").glob("*.safetensors"))

    def test_a_row_that_overflows_is_skipped(self, kind, seed, tmp_path):
        """A token whose embedding is infinite: the batches that have it are skipped, by all ranks; the others train."""
        random_model(kind, tmp_path / "model", seed, dropout_rate=0.0)
        tokenizer = load_saved(kind, tmp_path / "model")[1]
        rows, bad = self.rows_with_a_rare_token(tokenizer, seed)
        token, bad_rows = bad

        def change(weights):  # the head is another tensor, which all batches need
            weights["lm_head.weight"] = weights["shared.weight"].flip(0).contiguous()
            weights["shared.weight"][token] = math.inf

        change_weights(tmp_path / "model", change)
        job = self.prepare(kind, tmp_path, rows, num_train_epochs=2, global_batch_size=2, per_device_train_batch_size=1,
                           learning_rate=1e-3, weight_decay=0.1, max_skipped_steps=12)
        finished = {ranks: run("lockstep", "train", job, f"output_dir={tmp_path / f'result-{ranks}'}", ranks=ranks) for ranks in [None, 2]}
        alone, two = (steps_of(tmp_path / f"result-{ranks}") for ranks in [None, 2])
        skipped = [step for step in two if "skipped" in step]
        assert 0 < len(skipped) < len(two) == 12
        for i, step in enumerate(two):
            assert step.get("skipped", False) == (step["loss"] is None) == alone[i].get("skipped", False)
            assert step["learning_rate"] == pytest.approx(1e-3 * (12 - i) / 12)
            if "skipped" not in step:
                assert step["loss"] == pytest.approx(alone[i]["loss"], rel=1e-5)

        for ranks, run_of in finished.items():
            warnings = [line for line in run_of.stderr.splitlines() if "the step is skipped" in line]
            assert [int(re.search(r"step (\d+):", line).group(1)) for line in warnings] == [step["step"] for step in skipped]
            named = [{int(row) for row in re.search(r"training rows ([\d, ]+)", line).group(1).split(",")} for line in warnings]
            assert set.union(*named) == bad_rows and sum(map(len, named)) == 2 * len(bad_rows)
            assert {rank for line in warnings for rank in re.findall(r"of rank ([\d, ]+) was not finite", line)[0].split(", ")} <= {"0", "1" if ranks else "0"}
            assert f"{len(skipped)} of 12 steps were skipped" in run_of.stderr
            assert f"not finite: {len(skipped)}." in (tmp_path / f"result-{ranks}" / "README.md").read_text()
        before, after = (load_file(folder / "model.safetensors") for folder in [tmp_path / "model", tmp_path / "result-2"])
        for name, weights in after.items():
            rest = weights.isfinite()
            assert rest.all() or (name == "shared.weight" and rest[:token].all() and rest[token + 1:].all()), name
        assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])

    @pytest.mark.parametrize("ranks", [None, 2])
    def test_weights_that_are_no_longer_finite_are_not_saved(self, kind, ranks, tmp_path):
        """The first update overflows, and its loss and gradients were finite."""
        random_model(kind, tmp_path / "model", 5)
        job = self.prepare(kind, tmp_path, example_rows("t5", 8, 1), max_steps=4, global_batch_size=4, learning_rate=1e39,
                           lr_scheduler_type="constant", validation_datasets=f"[{tmp_path / 'train.jsonl'}]")
        for number, keys in enumerate([["save_strategy=steps", "save_steps=1"], ["evaluation_strategy=epoch"], ["max_steps=1"],
                                       ["evaluation_strategy=epoch", "load_best_model_at_end=true", "save_strategy=epoch"]]):
            output = tmp_path / f"result-{number}"
            message = error_of(run("lockstep", "train", job, f"output_dir={output}", *keys, ranks=ranks, check=False))
            assert "the weights are no longer finite and are not saved" in message and "learning_rate" in message, message
            assert not list(output.rglob("*.safetensors"))

    def test_an_evaluation_that_is_not_finite_is_no_success(self, kind, seed, tmp_path):
        """Only a validation row has the token whose embedding is infinite."""
        random_model(kind, tmp_path / "model", seed, dropout_rate=0.0)
        tokenizer = load_saved(kind, tmp_path / "model")[1]
        rows, (token, bad_rows) = self.rows_with_a_rare_token(tokenizer, seed)

        def change(weights):
            weights["lm_head.weight"] = weights["shared.weight"].flip(0).contiguous()
            weights["shared.weight"][token] = math.inf

        change_weights(tmp_path / "model", change)
        write_rows(tmp_path / "validation.jsonl", [row for number, row in enumerate(rows, 1) if number in bad_rows])
        job = self.prepare(kind, tmp_path, [row for number, row in enumerate(rows, 1) if number not in bad_rows], num_train_epochs=2,
                           global_batch_size=4, evaluation_strategy="epoch", load_best_model_at_end="true", save_strategy="epoch",
                           validation_datasets=f"[{tmp_path / 'validation.jsonl'}]")
        finished = run("lockstep", "train", job, check=False)
        assert "the loss of its last evaluation is NaN or infinite" in error_of(finished)
        assert finished.stderr.count("eval_loss is not finite; this model does not count as the best") == 2
        assert (tmp_path / "result" / "model.safetensors").exists()
        for command in [["evaluate", "--dataset", tmp_path / "train.jsonl", "--output", tmp_path / "out"], ["generate", "--prompt", "a"]]:
            refused = run("lockstep", command[0], "--model", tmp_path / "result", *command[1:], check=False)
            assert "tensor 'shared.weight': expected finite weights, found NaN or infinity" in error_of(refused)
            assert not (tmp_path / "out").exists()

    @staticmethod
    def rows_with_a_rare_token(tokenizer, seed):
        """Twelve rows, and a token that one to three of them have, with these rows' numbers."""
        for attempt in range(100):
            rows = example_rows("t5", 12, seed + attempt)
            tokens = {}
            for number, row in enumerate(rows, 1):
                source, target = encode(tokenizer, row, True)
                for token in source + target:
                    tokens.setdefault(token, set()).add(number)
            rare = [(token, numbers) for token, numbers in tokens.items() if len(numbers) <= 3]
            if rare:
                return rows, rare[0]
        raise AssertionError("no rows with a rare token")
