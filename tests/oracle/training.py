"""lockstep train against the same loop in PyTorch, against itself on other ranks, and on bad input."""

import hashlib
import json
import math
import os
import re
import shutil

import pytest
import torch
from conftest import (BIN, EXAMPLE_DATA, EXAMPLE_MODELS, ROOT, example_rows, greedy_answer, load_saved, random_model, read_lines,
                      run, setting, write_rows)
from training_workplace import (encode, order_of, rows_apart, stable_training, step_losses, steps_of, torch_loss_sum, torch_losses,
                                without_dropout, without_kinks, write_job)
from transformers.trainer_utils import align_special_tokens

KINDS = ["t5-v1.0", "t5-v1.1", "gpt2", "llama"]
CASES = setting("CASES", 1)

torch.set_num_threads(1)  # small models: more threads only wait for each other


@pytest.mark.parametrize("kind", KINDS)
def test_ten_steps_follow_pytorch_and_the_folder_opens(kind, seed, tmp_path):
    has_encoder = kind.startswith("t5")
    rows, examples, model, losses, _ = stable_training(kind, tmp_path / "model", seed, 12, 10, (5e-3, 0.1, 3), (1e-4,))
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, max_steps=10, global_batch_size=12,
                    per_device_train_batch_size=5, learning_rate=5e-3, weight_decay=0.1, warmup_steps=3)
    run("lockstep-prep", job)
    run("lockstep", "train", job)

    saved, tokenizer, info = load_saved(kind, tmp_path / "result")
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert tokenizer.pad_token is not None
    assert step_losses(tmp_path / "result") == pytest.approx(losses, rel=1e-4)

    model.eval()
    for source, target in examples[:4]:
        with torch.no_grad():
            ours, theirs = (torch_loss_sum(m, source, target, has_encoder).item() for m in (saved, model))
        assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_steps_are_those_of_pytorch_whatever_makes_them_fast(kind, seed, tmp_path):
    """A plain loop in PyTorch, a row at a time, has none of it; then what a job can turn on or off, one by one. Without
    ReLU, whose gradient jumps: PyTorch's own norms, from weights 1e-7 apart, were 1e-3 apart behind twenty steps."""
    has_encoder = kind.startswith("t5")
    rows, _, _, losses, norms = stable_training(kind, tmp_path / "model", seed, 6, 50, (1e-3, 0.1, 5), (1e-5, 1e-4),
                                                **without_kinks(kind))
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, max_steps=50, global_batch_size=6, learning_rate=1e-3,
                    weight_decay=0.1, warmup_steps=5)
    run("lockstep-prep", job)
    for keys in [[], ["per_device_train_batch_size=1"], ["max_tokens_per_micro_batch=60"], ["gradient_checkpointing=true"],
                 ["threads_per_rank=2", "optimizer_sharding=none"]]:
        run("lockstep", "train", job, "overwrite_output_dir=true", *keys)
        steps = steps_of(tmp_path / "result")
        assert [step["loss"] for step in steps] == pytest.approx(losses, rel=1e-5), keys
        assert [step["grad_norm"] for step in steps] == pytest.approx(norms, rel=1e-4), keys


@pytest.mark.parametrize("kind", KINDS)
def test_label_smoothing_is_that_of_transformers(kind, seed, tmp_path):
    """In steps and in their evaluation, as in the Trainer's; what evaluates a model by itself knows nothing of it."""
    has_encoder = kind.startswith("t5")
    rows, examples, _, losses, _ = stable_training(kind, tmp_path / "model", seed, 9, 5, (5e-3, 0, 0), (1e-4,), smoothing=0.2)
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, num_train_epochs=5, global_batch_size=9,
                    per_device_train_batch_size=4, learning_rate=5e-3, weight_decay=0, label_smoothing_factor=0.2,
                    evaluation_strategy="epoch", validation_datasets=f"[{tmp_path / 'train.jsonl'}]")
    run("lockstep-prep", job)
    run("lockstep", "train", job)
    saved = load_saved(kind, tmp_path / "result")[0]
    assert step_losses(tmp_path / "result") == pytest.approx(losses, rel=1e-4)

    tokens = sum(len(target) for _, target in examples)
    with torch.no_grad():
        smoothed, plain = (sum(torch_loss_sum(saved.eval(), *example, has_encoder, smoothing).item() for example in examples) / tokens
                           for smoothing in (0.2, 0))
    evaluations = [line["eval_loss"] for line in read_lines(tmp_path / "result" / "metrics.jsonl") if line["event"] == "evaluation"]
    assert evaluations[-1] == pytest.approx(smoothed, rel=1e-5)
    totals = json.loads(run("lockstep", "evaluate", "--model", tmp_path / "result", "--dataset", tmp_path / "train.jsonl", "--output",
                            tmp_path / "losses.jsonl").stdout)
    assert totals["loss_sum"] / tokens == pytest.approx(plain, rel=1e-5)
    assert abs(plain - smoothed) > 0.001 * plain


def test_a_pretrained_llama_fine_tuned_for_an_epoch_follows_pytorch(seed, tmp_path):
    model, tokenizer, _ = load_saved("llama", ROOT / "tests" / "fixtures" / "models" / "stories260k")
    model = model.float()
    rows, examples = rows_apart("t5", tokenizer, False, 22, seed)
    job = write_job(tmp_path, ROOT / "tests" / "fixtures" / "models" / "stories260k", rows, False, num_train_epochs=1,
                    global_batch_size=4, per_device_train_batch_size=3, learning_rate=1e-3)
    run("lockstep-prep", job)

    order = order_of(job, examples, 22)

    run("lockstep", "train", job, ranks=2)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    expected = torch_losses(model, [order[i:i + 4] for i in range(0, 22, 4)], False, 1e-3, 0.01, 0)
    assert step_losses(tmp_path / "result") == pytest.approx(expected, rel=1e-4)
    assert expected[-1] < expected[0] - 1
    saved = load_saved("llama", tmp_path / "result")[0].state_dict()
    for name, parameter in model.named_parameters():
        assert (saved[name] - parameter).norm() <= 1e-3 * (parameter - before[name]).norm(), name


def draw_special_ids(rng, folder):
    """Gives config.json, and perhaps a generation_config.json, ids that need not be those of the tokenizer."""
    path = folder / "generation_config.json"
    path.unlink(missing_ok=True)
    for path in [folder / "config.json", *([path] if rng.random() < 0.6 else [])]:
        config = json.loads(path.read_text()) if path.exists() else {}
        ids = rng.sample(range(3, 30), 5)
        config["eos_token_id"] = rng.choice([ids[0], ids[:2], [1, ids[0]], [ids[0], 0], 0, 1])
        for key, value in [("bos_token_id", ids[2]), ("pad_token_id", ids[3]), ("decoder_start_token_id", ids[4])]:
            config.pop(key, None)
            if rng.random() < 0.5:
                config[key] = rng.choice([value, 0, 1])
        path.write_text(json.dumps(config))


def special_ids(model):
    def ids(config, key):
        value = getattr(config, key, None)
        return value if isinstance(value, list) else [value]

    keys = ["eos_token_id", "bos_token_id", "pad_token_id"] + ["decoder_start_token_id"] * model.config.is_encoder_decoder
    return {(name, key): ids(config, key) for name, config in [("config", model.config), ("generation", model.generation_config)]
            for key in keys}


@pytest.mark.parametrize("kind", ["t5-v1.1", "gpt2", "llama"])
def test_the_saved_special_ids_are_those_that_the_trainer_saves(kind, rng, tmp_path):
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", rng.randrange(1000))
    job = write_job(tmp_path, tmp_path / "model", example_rows("t5" if has_encoder else "gpt2", 4, 1), has_encoder, max_steps=1,
                    global_batch_size=4)
    for case in range(setting("CASES", 4)):
        draw_special_ids(rng, tmp_path / "model")
        run("lockstep-prep", job)
        finished = run("lockstep", "train", job, "overwrite_output_dir=true")
        model, tokenizer, _ = load_saved(kind, tmp_path / "model")
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        start = special_ids(model).get(("config", "decoder_start_token_id"))
        before = special_ids(model)
        align_special_tokens(model, tokenizer)
        saved = special_ids(load_saved(kind, tmp_path / "result")[0])
        expected = special_ids(model)
        if has_encoder:  # the Trainer leaves these missing, so that the saved model generates nothing
            missing = 0 if before["config", "pad_token_id"] == [None] else before["config", "pad_token_id"][0]
            for name in ["config", "generation"]:
                key = (name, "decoder_start_token_id")
                assert saved[key] == (start if start != [None] else [missing])
                expected[key] = saved[key]
        print(case, before, saved, expected)
        assert saved == expected
        changed = any(before[key] != saved[key] for key in before)
        assert not changed or "special tokens of the model are those of its tokenizer" in finished.stderr + finished.stdout


@pytest.mark.parametrize("kind", ["t5-v1.1", "llama"])
def test_a_trained_model_is_saved_in_shards(kind, seed, tmp_path):
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed)
    job = write_job(tmp_path, tmp_path / "model", example_rows("t5" if has_encoder else "gpt2", 6, seed), has_encoder, max_steps=2,
                    global_batch_size=3)
    run("lockstep-prep", job)
    run("lockstep", "train", job)
    run("lockstep", "train", job, "max_shard_size=4KB", f"output_dir={tmp_path / 'shards'}")
    files = {path.name for path in (tmp_path / "shards").glob("*.safetensors*")}
    assert len(files) > 3 and "model.safetensors.index.json" in files and "model.safetensors" not in files
    (whole, _, _), (sharded, _, info) = (load_saved(kind, tmp_path / name) for name in ["result", "shards"])
    assert not any(info[problem] for problem in ["missing_keys", "unexpected_keys", "mismatched_keys"]), info
    ids = torch.arange(3, 40).view(1, -1)
    inputs = {"input_ids": ids, "decoder_input_ids": ids} if has_encoder else {"input_ids": ids}
    with torch.no_grad():
        assert torch.equal(sharded(**inputs).logits, whole(**inputs).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_rank_0_alone_may_read_the_weights(kind, seed, tmp_path):
    """Each rank in a folder of its own, of which rank 1's has no weights."""
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "first" / "model", seed)
    shutil.copytree(tmp_path / "first", tmp_path / "second", ignore=shutil.ignore_patterns("*.safetensors"))
    job = write_job(tmp_path, tmp_path / "first" / "model", example_rows("t5" if has_encoder else "gpt2", 6, seed), has_encoder,
                    max_steps=3, global_batch_size=4, learning_rate=1e-2)
    run("lockstep-prep", job, "pretrained_model_name=model", cwd=tmp_path / "first")
    run("lockstep", "train", job, ranks=2)

    def train_apart(*overrides, check=True):
        train = [BIN / "lockstep", "train", job, "pretrained_model_name=model", f"output_dir={tmp_path / 'apart'}", *overrides]
        second = [":", "-n", 1, "-wdir", tmp_path / "second", *train]
        return run(*train, *second, ranks=1, check=check, cwd=tmp_path / "first")

    refused = train_apart("weights_io=each", check=False)
    assert refused.returncode == 1 and refused.stderr.count("lockstep: error:") == 1, refused.stderr
    train_apart("weights_io=broadcast")
    weights, expected = ((tmp_path / name / "model.safetensors").read_bytes() for name in ["apart", "result"])
    assert weights == expected

    path = tmp_path / "first" / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    config = tmp_path / "second" / "model" / "config.json"
    for problem in [path.name, "config.json of rank 0"]:
        refused = train_apart("weights_io=broadcast", "overwrite_output_dir=true", check=False)
        assert refused.returncode == 1 and refused.stderr.count("lockstep: error:") == 1, refused.stderr
        assert problem in refused.stderr
        shutil.copy(tmp_path / "apart" / "model.safetensors", path)
        config.write_text(config.read_text().replace("{", '{"_commit_hash": null,', 1))


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_and_generate_equal_transformers(kind, seed, tmp_path):
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed)
    drawn = example_rows("t5" if has_encoder else "gpt2", setting("ROWS", 40), seed)
    model, tokenizer, _ = load_saved(kind, tmp_path / "model")
    answers = [greedy_answer(model, encode(tokenizer, row, has_encoder)[0], 12) for row in drawn]
    rows, answers = zip(*((row, ids) for row, (ids, clear) in zip(drawn, answers, strict=True) if clear), strict=True)
    assert len(rows) > 0.8 * len(drawn)
    rows_file = write_rows(tmp_path / "rows.jsonl", rows)

    totals = json.loads(run("lockstep", "evaluate", "--model", tmp_path / "model", "--dataset", rows_file, "--output",
                            tmp_path / "losses.jsonl", "--batch-size", 7).stdout)
    lines = read_lines(tmp_path / "losses.jsonl")
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines):
        source, target = encode(tokenizer, row, has_encoder)
        with torch.no_grad():
            expected = torch_loss_sum(model, source, target, has_encoder).item()
        assert line["target_tokens"] == len(target)
        assert line["loss_sum"] == pytest.approx(expected, rel=1e-5), row
    assert totals["target_tokens"] == sum(line["target_tokens"] for line in lines)
    assert totals["loss_sum"] == pytest.approx(sum(line["loss_sum"] for line in lines), rel=1e-9)

    run("lockstep", "generate", "--model", tmp_path / "model", "--input", rows_file, "--output", tmp_path / "answers.jsonl",
        "--max-new-tokens", 12, "--batch-size", 6)
    for row, ids, line in zip(rows, answers, read_lines(tmp_path / "answers.jsonl"), strict=True):
        assert line["prediction"] == tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False), row
        assert line["model_input"] == row["model_input"] and line["model_output"] == row["model_output"]


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_ranks_micro_batches_and_accumulation_change_nothing(kind, seed, tmp_path):
    """With the dropout of the model's config, and noise on embeddings: masks and noise belong to examples, not to ranks.
    A T5 sets test_size of its rows apart for evaluation, so that its epochs have fewer steps."""
    epochs, global_batch, test_size = 3, 8, 0.2
    rows = example_rows(kind, 34, seed)
    evaluated = math.ceil(test_size * len(rows)) if kind == "t5" else 0
    dropout = {"dropout_rate": 0.1} if kind == "t5" else {}
    random_model("t5-v1.1" if kind == "t5" else "gpt2", tmp_path / "model", seed, **dropout, **without_kinks(kind))
    job = write_job(tmp_path, tmp_path / "model", rows, kind == "t5", num_train_epochs=epochs, global_batch_size=global_batch,
                    learning_rate=2e-3, evaluation_strategy="epoch", test_size=test_size, neftune_noise_alpha=5)
    run("lockstep-prep", job)
    losses, evaluations = [], []
    for ranks, rows_each, accumulation in [(None, 8, 1), (1, 3, 1), (2, 4, 1), (2, 100, 3), (3, 2, 2)]:
        output = tmp_path / f"result-{ranks}-{rows_each}-{accumulation}"
        run("lockstep", "train", job, f"output_dir={output}", f"per_device_train_batch_size={rows_each}",
            f"gradient_accumulation_steps={accumulation}", ranks=ranks)
        losses.append(step_losses(output))
        evaluations.append([line["eval_loss"] for line in read_lines(output / "metrics.jsonl")
                            if line["event"] == "evaluation"])
    assert len(losses[0]) == epochs * math.ceil((len(rows) - evaluated) / global_batch)
    assert len(evaluations[0]) == (epochs if evaluated else 0)
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)
    for other in evaluations[1:]:
        assert other == pytest.approx(evaluations[0], rel=1e-5)


@pytest.mark.parametrize("kind", ["t5-v1.1", "gpt2"])
def test_noise_is_for_training_alone(kind, seed, tmp_path):
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed, **without_dropout(kind))
    rows = example_rows("t5" if has_encoder else "gpt2", 12, seed)
    validation = write_rows(tmp_path / "validation.jsonl", rows[8:])
    job = write_job(tmp_path, tmp_path / "model", rows[:8], has_encoder, max_steps=2, global_batch_size=8, learning_rate=0,
                    evaluation_strategy="epoch", validation_datasets=f"[{validation}]")
    run("lockstep-prep", job)
    lines = {}
    for alpha in ("none", "0", "5", "50"):
        run("lockstep", "train", job, f"output_dir={tmp_path / alpha}", f"neftune_noise_alpha={alpha}")
        lines[alpha] = step_losses(tmp_path / alpha), [
            line["eval_loss"] for line in read_lines(tmp_path / alpha / "metrics.jsonl") if line["event"] == "evaluation"]
    (losses, evaluations), (found, of_noisy) = lines["none"], lines["5"]
    assert lines["0"] == lines["none"]
    assert of_noisy == evaluations == lines["50"][1]
    assert found != losses and found == pytest.approx(losses, rel=0.5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert found[0] != pytest.approx(found[1], rel=1e-6)  # of another step


@pytest.mark.parametrize("ranks", [None, 2])
def test_the_same_job_twice_gives_the_same_bits(ranks, seed, tmp_path):
    rows = example_rows("t5", 24, seed)
    job = write_job(tmp_path, EXAMPLE_MODELS["t5"], rows, True, from_scratch="true", num_train_epochs=2,
                    per_device_train_batch_size=4, learning_rate=1e-3)
    run("lockstep-prep", job)
    digests = set()
    for attempt in range(2):
        output = tmp_path / f"result{attempt}"
        run("lockstep", "train", job, f"output_dir={output}", ranks=ranks)
        digests.add(hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_decoder_only_model_learns_to_stop(tmp_path):
    """EOS is a label although it pads, too: answers to unseen rows end by themselves."""
    short = [row for row in read_lines(EXAMPLE_DATA["gpt2"] / "train.jsonl") if len(row["model_output"]) < 40]
    job = write_job(tmp_path, EXAMPLE_MODELS["gpt2"], short[50:], False, from_scratch="true", num_train_epochs=3,
                    global_batch_size=16, per_device_train_batch_size=16, learning_rate=2e-3)
    run("lockstep-prep", job)
    run("lockstep", "train", job, ranks=2)
    unseen = write_rows(tmp_path / "unseen.jsonl", short[:50])
    said = run("lockstep", "generate", "--model", tmp_path / "result", "--input", unseen, "--output",
               tmp_path / "answers.jsonl", "--max-new-tokens", 200).stdout
    assert int(re.search(r"(\d+) of them ended with EOS", said).group(1)) >= 0.95 * 50, said


class TestBadInput:
    @pytest.fixture
    def job(self, tmp_path):
        random_model("t5-v1.1", tmp_path / "model", 5)
        job = write_job(tmp_path, tmp_path / "model", example_rows("t5", 8, 1), True, max_steps=1, global_batch_size=4)
        run("lockstep-prep", job)
        return job

    def refused(self, job, *overrides, names, ranks=None):
        result = job.parent / "result"
        before = {path.name: path.read_bytes() for path in result.iterdir()} if result.is_dir() else None
        finished = run("lockstep", "train", job, *overrides, ranks=ranks, check=False)
        assert finished.returncode not in (0, -6, -11), finished.stderr
        errors = [line for line in finished.stderr.splitlines() if line.startswith("lockstep: error:")]
        assert len(errors) == 1, finished.stderr
        for name in names:
            assert name in errors[0], errors[0]
        after = {path.name: path.read_bytes() for path in result.iterdir()} if result.is_dir() else None
        assert after == before or (before is None and not after)

    @pytest.mark.parametrize("ranks", [None, 2])
    def test_job_file(self, job, ranks):
        self.refused(job, "learning_rat=1", names=["learning_rat", "learning_rate"], ranks=ranks)
        self.refused(job, "num_train_epochs=-1", names=["num_train_epochs"], ranks=ranks)
        self.refused(job, "seed=abc", names=["seed", "abc"])
        self.refused(job, "prepared_dir=absent", names=["absent", "lockstep-prep"])
        self.refused(job.parent / "absent.yaml", names=["absent.yaml"])

    def test_model_folder(self, job, tmp_path):
        self.refused(job, "pretrained_model_name=/nowhere/model", names=["/nowhere/model"])
        config = tmp_path / "model" / "config.json"
        text = config.read_text()
        config.write_text(text.replace('"model_type": "t5"', '"model_type": "perceiver"'))
        self.refused(job, names=["perceiver", "t5", "gpt2"])
        config.unlink()
        self.refused(job, names=["config.json"])
        config.write_text(text)
        self.refused(job, "has_encoder=false", names=["has_encoder"])
        config.write_text(text.replace('"vocab_size": ', '"vocab_size": 3, "unused": '))
        self.refused(job, names=["vocab"])

    def test_weights(self, job, tmp_path):
        from safetensors.torch import load_file, save_file

        path = tmp_path / "model" / "model.safetensors"
        weights = load_file(path)
        name = "decoder.final_layer_norm.weight"
        save_file({k: v for k, v in weights.items() if k != name}, path)
        self.refused(job, names=["model.safetensors", name])
        save_file({**weights, "surplus.weight": torch.zeros(2)}, path)
        self.refused(job, names=["model.safetensors", "surplus.weight"])
        save_file({**weights, name: torch.zeros(3)}, path)
        self.refused(job, names=[name, "[3]"])
        save_file(weights, path)
        path.write_bytes(path.read_bytes()[:-100])
        self.refused(job, names=["model.safetensors"])
        path.unlink()
        self.refused(job, names=["model.safetensors"])

    def test_shards(self, job, tmp_path):
        shard = next((tmp_path / "prepared" / "train").glob("shard-*.h5"))
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
        self.refused(job, names=[shard.name])
        (tmp_path / "prepared" / "train" / "manifest.json").unlink()
        self.refused(job, names=["manifest.json", "lockstep-prep"])

    def test_validation_set_of_another_job(self, job, tmp_path):
        run("lockstep-prep", job, f"validation_datasets=[{tmp_path / 'train.jsonl'}]")
        self.refused(job, names=["validation_datasets", "lockstep-prep"])

    def test_shards_of_other_settings(self, job, tmp_path):
        self.refused(job, "model_max_length=7", names=["model_max_length", "lockstep-prep"])
        self.refused(job, "prompt_template='say: {model_input}'", names=["prompt_template", "lockstep-prep"])
        self.refused(job, "validation_split=0.5", names=["validation_split", "lockstep-prep"])

    def test_other_datasets_make_a_warning(self, job, tmp_path):
        assert "prepared from" not in run("lockstep", "train", job, "max_steps=1").stderr
        shutil.copy(tmp_path / "train.jsonl", tmp_path / "more.jsonl")
        both = f"training_datasets=[{tmp_path / 'train.jsonl'},{tmp_path / 'more.jsonl'}]"
        warned = run("lockstep", "train", job, both, "max_steps=1", "overwrite_output_dir=true").stderr
        assert "prepared from" in warned and str(tmp_path / "more.jsonl") in warned and "lockstep-prep" in warned

    def test_another_tokenizer(self, job, tmp_path):
        path = tmp_path / "model" / "tokenizer_config.json"
        path.write_text(path.read_text().replace("{", '{"changed": 1, ', 1))
        self.refused(job, names=["tokenizer", "lockstep-prep"])

    def test_results_of_another_run(self, job, tmp_path):
        run("lockstep", "train", job)
        assert "this run has already finished" in run("lockstep", "train", job).stderr
        self.refused(job, "seed=5", names=["overwrite_output_dir: true"])
        run("lockstep", "train", job, "overwrite_output_dir=true")

    @pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
    def test_full_disk(self, job, tmp_path):
        import subprocess

        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)], capture_output=True)
        if mounted.returncode != 0:
            pytest.skip("this machine does not allow mounts")
        try:
            self.refused(job, f"output_dir={disk / 'result'}", names=["disk", "space"])
            assert not list(disk.rglob("*.partial"))
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def test_help_and_versions_are_complete():
    for command in [["train"], ["generate"], ["evaluate"], []]:
        text = run("lockstep", *command, "--help").stdout
        assert "Usage" in text
    assert "per_device_train_batch_size" in run("lockstep", "train", "--help").stdout
    version = run("lockstep", "--version").stdout
    for library in ["lockstep", "LibTorch", "MPI", "NCCL", "HDF5"]:
        assert library in version


@pytest.mark.parametrize("arguments", [
    ["train"], ["nonsense"], ["generate", "--model", "x"], ["generate", "--model", "x", "--input", "y"],
    ["evaluate", "--model", "x", "--dataset", "y", "--output", "z", "--batch-size", "0"]])
def test_arguments_are_checked(arguments):
    finished = run("lockstep", *arguments, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith("lockstep: error: ") and "--help" in finished.stderr


def test_results_that_cannot_be_written_are_refused_first(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", example_rows("t5", 2, 1))
    for command, option in (("evaluate", "--dataset"), ("generate", "--input")):
        finished = run("lockstep", command, "--model", "absent", option, rows, "--output", tmp_path, check=False)
        assert finished.returncode == 1 and f"{tmp_path}: expected a file" in finished.stderr
