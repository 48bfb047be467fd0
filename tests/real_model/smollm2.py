"""SmolLM2-135M-Instruct, which convert_smollm2.py made: real weights and real text, against transformers."""

import pytest
import torch
import transformers
from conftest import BIN, ROOT, read_lines, run
from models import compare as compare_models
from tokenizer_workplace import compare as compare_tokenizers
from training import encode

MODEL = BIN.parent / "real_model" / "smollm2"
ROWS = {name: read_lines(ROOT / "tests" / "fixtures" / "data" / name / "train.jsonl") for name in ["gsm8k", "nl2bash"]}
# As the model's chat template has it, without the system's turn.
TEMPLATE = "<|im_start|>user\n{model_input}<|im_end|>\n<|im_start|>assistant\n"

torch.set_num_threads(2)


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def examples(tokenizer):
    """Rows of both data sets and their ids, shortest first."""
    def ids(row):
        return encode(tokenizer, {**row, "model_input": TEMPLATE.format(**row)}, has_encoder=False)

    return {name: sorted(((row, *ids(row)) for row in rows), key=lambda example: len(example[1] + example[2]))
            for name, rows in ROWS.items()}


def test_ids_of_real_text_equal_those_of_transformers(tokenizer):
    texts = [row[column] for rows in ROWS.values() for row in rows for column in ["model_input", "model_output"]]
    texts += [TEMPLATE.format(**row) for row in ROWS["gsm8k"]]
    compare_tokenizers(MODEL, tokenizer.backend_tokenizer, texts)


def test_digits_stand_apart_as_the_model_learned_them(tokenizer):
    assert tokenizer.tokenize("in  2024: 3.5%") == ["in", "ĠĠ", "2", "0", "2", "4", ":", "Ġ", "3", ".", "5", "%"]


def test_it_knows_what_it_was_taught():
    """Rows of rotary heads in the wrong order, or weights in the wrong place, make noise of every answer."""
    prompt = TEMPLATE.format(model_input="What is the capital of France?")
    assert "Paris" in run("lockstep", "generate", "--model", MODEL, "--prompt", prompt, "--max-new-tokens", 12).stdout


def test_logits_gradients_and_answers_on_real_text_equal_those_of_transformers(examples, tmp_path):
    chosen = examples["gsm8k"][:2] + examples["nl2bash"][100:103]
    compare_models("llama", MODEL, {
        "examples": [{"input": source, "target": target} for _, source, target in chosen],
        "prompts": [source for _, source, _ in examples["gsm8k"][:1] + examples["nl2bash"][150:151]],
        "max_new_tokens": 16, "batch_size": 2, "pad_id": 2}, tmp_path, threads=2)
