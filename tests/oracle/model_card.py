"""README.md of trained models: huggingface_hub reads it, it tells what the run did, and what it says to do works."""

import re
import shutil
import subprocess
import sys

import huggingface_hub
import pytest
import yaml
from conftest import example_rows, random_model, read_lines, run, seed_of, setting, write_rows
from training_workplace import write_job

KINDS = {"t5-v1.1": "text2text-generation", "llama": "text-generation"}
CASES = setting("CASES", 1)


def section(text, title):
    return re.search(rf"^##+ {title}\n(.*?)(?=^##+ |\Z)", text, re.DOTALL | re.MULTILINE).group(1)


def table(text):
    """The cells of a section's table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(text, language):
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL).group(1)


@pytest.fixture(scope="module", params=[(kind, case) for kind in KINDS for case in range(CASES)], ids=lambda value: f"{value[0]}-case{value[1]}")
def trained(request, tmp_path_factory):
    """The kind, the job's file and the card of a model trained with validation data, of which some rows are cut."""
    kind, case = request.param
    is_t5 = kind.startswith("t5")
    seed = seed_of(request, case)
    tmp_path = tmp_path_factory.mktemp(kind)
    print(f"seed {seed} (again: LOCKSTEP_SEED={seed} LOCKSTEP_CASES=1)")
    random_model(kind, tmp_path / "model", seed)
    rows = example_rows("t5" if is_t5 else "gpt2", 30, seed)
    write_rows(tmp_path / "validation.jsonl", rows[20:])
    job = write_job(tmp_path, tmp_path / "model", rows[:20] + rows[:3], is_t5, num_train_epochs=2, global_batch_size=8,
                    model_max_length=12, deduplicate="true", evaluation_strategy="epoch",
                    validation_datasets=f"[{tmp_path / 'validation.jsonl'}]")
    (tmp_path / "model" / "README.md").write_text("of the source\n")
    run("lockstep-prep", job)
    run("lockstep", "train", job, "learning_rate=2.5e-3", ranks=2)
    return kind, job, huggingface_hub.ModelCard.load(tmp_path / "result" / "README.md")


def test_the_card_is_one_of_the_hub(trained):
    kind, _, card = trained
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == KINDS[kind]
    assert card.data.tags == ["lockstep", kind.split("-")[0]]
    assert card.data.base_model is None  # that was a folder
    assert card.text.startswith("\n# result\n")


def test_the_card_tells_what_the_run_did(trained):
    kind, job, card = trained
    tmp_path = job.parent
    metrics = read_lines(tmp_path / "result" / "metrics.jsonl")
    steps = [line for line in metrics if line["event"] == "step"]
    evaluations = [line for line in metrics if line["event"] == "evaluation"]
    found = table(section(card.text, "Results"))
    assert len(found) == len(evaluations) == 2
    for i, (epoch, step, training_loss, validation_loss) in enumerate(found):
        of_epoch = steps[3 * i:3 * i + 3]
        loss = sum(line["loss"] * line["target_tokens"] for line in of_epoch) / sum(line["target_tokens"] for line in of_epoch)
        assert (float(epoch), int(step)) == (i + 1, 3 * i + 3)
        assert float(training_loss) == pytest.approx(loss, abs=1e-4)
        assert float(validation_loss) == pytest.approx(evaluations[i]["eval_loss"], abs=1e-4)
    assert f"At the end: training loss {found[1][2]}, validation loss {found[1][3]}." in card.text

    manifests = [yaml.safe_load((tmp_path / "prepared" / name / "manifest.json").read_text())["counts"] for name in ["train", "validation"]]
    counts = {name: [int(training), int(validation)] for name, training, validation in table(section(card.text, "Data"))}
    for name, key in {"rows in the datasets": "rows", "rows used": "examples", "inputs cut": "truncated_inputs",
                      "outputs cut": "truncated_targets", "input tokens used": "input_tokens",
                      "target tokens used": "target_tokens", "duplicates": "duplicates"}.items():
        assert counts[name] == [manifest[key] for manifest in manifests], name
    assert counts["rows in the datasets"][0] == 23 and counts["rows dropped"][0] == counts["duplicates"][0] >= 3
    assert counts["inputs cut"][0] + counts["outputs cut"][0] > 0
    if kind.startswith("t5"):  # else nothing predicts the first token of a row that has lost its whole input
        assert sum(line["target_tokens"] for line in steps) == 2 * counts["target tokens used"][0]
    for name in ["train.jsonl", "validation.jsonl"]:
        assert f"`{tmp_path / name}`" in section(card.text, "Data")

    assert "- ranks: 2, of" in card.text and "- global batch: 8 rows" in card.text
    assert run("lockstep", "--version").stdout.split("\n")[0].replace("lockstep", "- Lockstep") in section(card.text, "Software")


def test_its_job_is_the_job(trained, tmp_path):
    _, job, card = trained
    result = job.parent / "result"
    again = tmp_path / "again.yaml"
    again.write_text(code(section(card.text, "Job"), "yaml"))
    expected = {**yaml.safe_load(job.read_text()), "learning_rate": 2.5e-3}
    del expected["evaluation_strategy"]  # the default
    assert yaml.safe_load(again.read_text()) == expected
    run("lockstep", "train", again, "overwrite_output_dir=true", ranks=2)
    replaced = huggingface_hub.ModelCard.load(result / "README.md")
    assert replaced.text.replace("overwrite_output_dir: true\n", "") == card.text


def run_its_lines(card, folder):
    # Without the cache, which transformers sizes by the number of a T5's encoder layers: fewer than a decoder may have.
    lines = code(section(card.text, "Use"), "python").replace("generate(", "generate(use_cache=False, ")
    finished = subprocess.run([sys.executable, "-c", lines], cwd=folder, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_its_lines_open_the_model(trained, tmp_path):
    _, job, card = trained
    run_its_lines(card, job.parent)
    run("lockstep", "train", job, "peft_type=lora", "max_steps=1", f"output_dir={tmp_path / 'adapter'}")
    card = huggingface_hub.ModelCard.load(tmp_path / "adapter" / "README.md")
    assert card.data.library_name == "peft" and "with a LoRA adapter" in card.text
    run_its_lines(card, tmp_path)


def test_a_model_of_the_hub_is_the_base_model(seed, tmp_path):
    random_model("llama", tmp_path / "model", seed)
    snapshot = tmp_path / "hub" / "models--some--tiny-llama" / "snapshots" / ("a" * 40)
    shutil.copytree(tmp_path / "model", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)
    job = write_job(tmp_path, "some/tiny-llama", example_rows("gpt2", 6, seed), False, max_steps=1, global_batch_size=4)
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    run("lockstep-prep", job, **environment)
    run("lockstep", "train", job, **environment)
    card = huggingface_hub.ModelCard.load(tmp_path / "result" / "README.md")
    assert card.data.base_model == "some/tiny-llama"
    assert "- validation: none" in card.text
    run("lockstep", "train", job, "from_scratch=true", f"output_dir={tmp_path / 'scratch'}", **environment)
    card = huggingface_hub.ModelCard.load(tmp_path / "scratch" / "README.md")
    assert card.data.base_model is None and "from random weights" in card.text
