"""SmolLM2-135M-Instruct, which convert_smollm2.py made: real weights and real text, against transformers and peft."""

import json

import peft
import pytest
import torch
import transformers
from conftest import BIN, ROOT, read_lines, run, write_rows
from models import compare as compare_models
from tokenizer_workplace import compare as compare_tokenizers
from training_workplace import encode, step_losses, torch_loss_sum, write_job

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


def heldout_loss(model, rows_file, output):
    return json.loads(run("lockstep", "evaluate", "--model", model, "--dataset", rows_file, "--output", output,
                          "--prompt-template", TEMPLATE).stdout)["loss"]


def reference_loss(model, examples):
    with torch.no_grad():
        loss_sum = sum(torch_loss_sum(model, source, target, has_encoder=False).item() for _, source, target in examples)
    return loss_sum / sum(len(target) for _, _, target in examples)


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


def test_lora_on_word_problems_lowers_the_loss_of_unseen_ones_and_opens_in_peft(examples, tmp_path):
    short = examples["gsm8k"][:36]
    heldout = short[::3]
    rows = [row for index, (row, _, _) in enumerate(short) if index % 3 != 0]
    heldout_file = write_rows(tmp_path / "heldout.jsonl", [row for row, _, _ in heldout])
    job = write_job(tmp_path, MODEL, rows, False, prompt_template=json.dumps(TEMPLATE), peft_type="lora", lora_r=8,
                    lora_alpha=16, lora_target_modules="all-linear", num_train_epochs=2, global_batch_size=4,
                    learning_rate=2e-3)
    run("lockstep-prep", job)
    run("lockstep", "train", job, ranks=2)

    before = heldout_loss(MODEL, heldout_file, tmp_path / "before.jsonl")
    after = heldout_loss(tmp_path / "result", heldout_file, tmp_path / "after.jsonl")
    print(f"held-out loss {before:.4f} before, {after:.4f} after")
    assert after < 0.85 * before
    losses = step_losses(tmp_path / "result")
    assert len(losses) == 12 and sum(losses[-4:]) < sum(losses[:4])

    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    assert before == pytest.approx(reference_loss(model, heldout), rel=1e-5)
    adapted = peft.PeftModel.from_pretrained(model, tmp_path / "result").eval()
    assert after == pytest.approx(reference_loss(adapted, heldout), rel=1e-5)
