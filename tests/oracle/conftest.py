"""What the oracle tests share: the built programs, and small models whose weights transformers made.

The tests draw the same cases in every run, each its own. LOCKSTEP_SEED=random draws others, LOCKSTEP_SEED=N repeats a
case that failed, and LOCKSTEP_CASES sets how many are drawn.
"""

import copy
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import zlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LOCKSTEP_BIN", ROOT / "build" / "bin"))
EXAMPLE_MODELS = {"t5": ROOT / "examples" / "models" / "scan-t5", "gpt2": ROOT / "examples" / "models" / "nl2bash-gpt2"}
EXAMPLE_DATA = {"t5": ROOT / "examples" / "data" / "scan", "gpt2": ROOT / "examples" / "data" / "nl2bash"}


def setting(name, default):
    """How much the tests draw or repeat: the number LOCKSTEP_`name` of the environment."""
    return int(os.environ.get(f"LOCKSTEP_{name}", default))


GIVEN_SEED = os.environ.get("LOCKSTEP_SEED", "")
BASE_SEED = random.SystemRandom().randrange(1, 1 << 30) if GIVEN_SEED == "random" else 1


def seed_of(request, case=0):
    """The seed of a case of a test. It depends on the test's name, so that different tests draw different cases. A number
    in LOCKSTEP_SEED replaces it."""
    if GIVEN_SEED not in ("", "random"):
        return int(GIVEN_SEED) + case
    name = request.node.nodeid.rpartition("/")[2]
    return zlib.crc32(f"{BASE_SEED} {name} {case}".encode()) % (1 << 30)


def run(*command, ranks=None, check=True, cwd=None, **environment):
    """Runs a program of the build, under mpirun if `ranks` is given."""
    command = [str(part) for part in command]
    command[0] = str(BIN / command[0])
    if ranks is not None:
        command = [str(ROOT / "launch" / "mpirun.sh"), "-n", str(ranks)] + command
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=cwd,
                              env={**os.environ, **environment})
    if check and finished.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\nexit code {finished.returncode}\n{finished.stdout}\n{finished.stderr}")
    return finished


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def example_rows(kind, count, seed):
    rows = read_lines(EXAMPLE_DATA[kind] / "train.jsonl")
    return random.Random(seed).sample(rows, count)


def random_model(kind, folder, seed, **fixed):
    """Saves a model of random small configuration and weights, with the example tokenizer of its kind."""
    import torch
    import transformers

    generator = random.Random(seed)
    tokenizer_folder = EXAMPLE_MODELS["t5" if kind.startswith("t5") else "gpt2"]
    vocabulary = json.loads((tokenizer_folder / "config.json").read_text())["vocab_size"]
    if kind == "gpt2":
        heads = generator.choice([1, 2, 4])
        config = transformers.GPT2Config(
            vocab_size=vocabulary, n_positions=256, n_embd=heads * generator.choice([8, 12]), n_head=heads,
            n_layer=generator.choice([1, 2, 3]), n_inner=generator.choice([None, 40]),
            layer_norm_epsilon=generator.choice([1e-5, 1e-3]),
            activation_function=fixed.pop("activation_function", generator.choice(["gelu_new", "relu", "gelu"])),
            scale_attn_by_inverse_layer_idx=generator.choice([True, False]),
            bos_token_id=0, eos_token_id=0, **fixed)
        model_class = transformers.GPT2LMHeadModel
    elif kind == "llama":
        heads = generator.choice([2, 4])
        config = transformers.LlamaConfig(
            vocab_size=vocabulary, max_position_embeddings=256, hidden_size=heads * generator.choice([8, 12]),
            num_attention_heads=heads, num_key_value_heads=generator.choice([1, 2]), num_hidden_layers=generator.choice([1, 2, 3]),
            intermediate_size=40, rms_norm_eps=generator.choice([1e-5, 1e-3]), tie_word_embeddings=generator.choice([True, False]),
            attention_bias=generator.choice([True, False]), bos_token_id=0, eos_token_id=0, **fixed)
        model_class = transformers.LlamaForCausalLM
    else:
        config = transformers.T5Config(
            vocab_size=vocabulary, d_model=generator.choice([16, 24, 32]), d_kv=generator.choice([4, 8]),
            d_ff=generator.choice([20, 48]), num_layers=generator.choice([1, 2]), num_decoder_layers=generator.choice([1, 3]),
            num_heads=generator.choice([1, 2, 4]), relative_attention_num_buckets=generator.choice([8, 32]),
            relative_attention_max_distance=generator.choice([20, 128]), initializer_factor=generator.choice([0.5, 1.0]),
            feed_forward_proj=fixed.pop("feed_forward_proj", "relu" if kind == "t5-v1.0" else "gated-gelu"),
            tie_word_embeddings=kind == "t5-v1.0", decoder_start_token_id=0, **fixed)
        model_class = transformers.T5ForConditionalGeneration
    torch.manual_seed(seed)
    model = model_class(config)
    model.save_pretrained(folder)
    for file in tokenizer_folder.iterdir():
        if file.name != "config.json":
            shutil.copy(file, folder / file.name)
    return model.eval()


def moved_by_an_ulp(model):
    """A copy each of whose weights is the next number up or down, at random: shows what rounding does to a computation."""
    import torch

    moved = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.copy_(torch.nextafter(parameter, torch.where(torch.rand_like(parameter) < 0.5, -torch.inf, torch.inf)))
    return moved


def draw_stable(draw, attempts=20):
    """What `draw(attempt)` gives first: None is a case in which rounding decides."""
    for attempt in range(attempts):
        drawn = draw(attempt)
        if drawn is not None:
            return drawn
    raise AssertionError(f"rounding decides in {attempts} random cases")


def greedy_answer(model, prompt, max_new_tokens):
    """What transformers generates greedily behind the ids of `prompt`, and whether every choice is clear: of two logits that
    are nearer to each other than their errors may be (1e-5 of the largest, each), rounding chooses one.

    Without the cache, which transformers sizes by a model's number of encoder layers: fewer than its decoder may have.
    """
    import torch

    output = model.generate(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                            do_sample=False, use_cache=False, max_new_tokens=max_new_tokens, return_dict_in_generate=True,
                            output_logits=True)
    logits = torch.cat(output.logits)
    first, second = logits.topk(2).values.T
    clear = bool((first - second > 2e-5 * logits.abs().amax(1)).all())
    return output.sequences[0, 1 if model.config.is_encoder_decoder else len(prompt):].tolist(), clear


def load_saved(kind, folder):
    """The model and tokenizer of a folder as transformers opens it, and what it missed or did not expect."""
    import transformers

    auto = transformers.AutoModelForSeq2SeqLM if kind.startswith("t5") else transformers.AutoModelForCausalLM
    model, info = auto.from_pretrained(folder, output_loading_info=True)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder), info


def pytest_generate_tests(metafunc):
    """A test that takes `seed` runs once for each case: CASES of its module, where it costs much, else two."""
    if "seed" in metafunc.fixturenames:
        cases = getattr(metafunc.module, "CASES", setting("CASES", 2))
        metafunc.parametrize("seed", range(cases), indirect=True, ids=lambda case: f"case{case}")


@pytest.fixture
def seed(request):
    value = seed_of(request, request.param)
    print(f"seed {value} (again: LOCKSTEP_SEED={value} LOCKSTEP_CASES=1)")
    return value


@pytest.fixture
def rng(request):
    value = seed_of(request)
    print(f"seed {value} (again: LOCKSTEP_SEED={value})")
    return random.Random(value)


@pytest.fixture(autouse=True)
def seeded_libraries(request):
    """What draws from the generators of `random` and torch depends on the test only, and not on those before it."""
    random.seed(seed_of(request))
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed_of(request))


def pytest_terminal_summary(terminalreporter):
    how = {"": "the fixed one", "random": "drawn at random"}.get(GIVEN_SEED)
    drawn = f"LOCKSTEP_SEED={GIVEN_SEED}" if how is None else f"derived from each test's name and {BASE_SEED}, {how}"
    terminalreporter.write_line(f"seeds: {drawn}")
