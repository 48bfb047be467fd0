"""A run of the main job with the programs that AddressSanitizer and UndefinedBehaviorSanitizer watch: prepare, train,
evaluate and generate with small models. Whatever a sanitizer reports ends the program with an exit code of its own.
"""

import os
import pathlib
import subprocess

import pytest
from conftest import BIN, example_rows, random_model, read_lines, run
from training_workplace import step_losses, write_job

FOLDER = pathlib.Path(__file__).resolve().parent
OPTIONS = {
    "ASAN_OPTIONS": "exitcode=99:detect_stack_use_after_return=1:strict_init_order=1",
    "LSAN_OPTIONS": f"exitcode=98:suppressions={FOLDER / 'leak_suppressions.txt'}:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


@pytest.mark.parametrize("fault", ["heap-buffer-overflow", "signed integer overflow", "detected memory leaks"])
def test_a_fault_is_reported(fault):
    result = subprocess.run([BIN / "sanitizer_fault", fault], capture_output=True, text=True, env={**os.environ, **OPTIONS})
    assert result.returncode != 0
    assert fault in result.stderr


@pytest.mark.parametrize("kind", ["gpt2", "t5-v1.1"])
def test_the_main_job(kind, tmp_path):
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", 1)
    rows = example_rows("t5" if has_encoder else "gpt2", 16, 1)
    job = write_job(tmp_path, tmp_path / "model", rows, has_encoder, max_steps=4, global_batch_size=8,
                    per_device_train_batch_size=4, validation_split=0.25, evaluation_strategy="epoch", save_strategy="steps", save_steps=2)
    run("lockstep-prep", job, **OPTIONS)
    run("lockstep", "train", job, **OPTIONS)
    assert len(step_losses(tmp_path / "result")) == 4
    model, rows_file = ["--model", tmp_path / "result"], tmp_path / "train.jsonl"
    run("lockstep", "evaluate", *model, "--dataset", rows_file, "--output", tmp_path / "losses", **OPTIONS)
    run("lockstep", "generate", *model, "--input", rows_file, "--output", tmp_path / "answers.jsonl", "--max-new-tokens", "8",
        **OPTIONS)
    assert len(read_lines(tmp_path / "answers.jsonl")) == 16
