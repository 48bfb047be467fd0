"""Forward, loss, gradients, generation and saved folders against transformers, on random configurations."""

import json
import random
import re
import shutil

import pytest
import torch
import transformers
from conftest import ROOT, draw_stable, greedy_answer, moved_by_an_ulp, run
from model_families import CONFIGS, FAMILIES, PAD, auto_class, has_encoder, make_model
from safetensors.torch import load_file

# Activations, and where their slope jumps.
KINKS = {torch.nn.ReLU: [0], torch.nn.LeakyReLU: [0], torch.nn.ReLU6: [0, 6], torch.nn.Hardswish: [-3, 3]}

SHARE = 1e-2  # see assert_values_close()

# Decoding strategies by name: a function that draws the settings of a case, by key; and one that continues a prompt as the
# strategy does, and says whether rounding cannot change the answer.
STRATEGIES = {
    "greedy": (lambda rng: {}, lambda model, case, row, settings: greedy_answer(model, case["prompts"][row], case["max_new_tokens"])),
}

torch.set_num_threads(1)  # small models: more threads only wait for each other


def open_model(family, folder):
    model, info = auto_class(family).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    return model.eval(), info


def random_ids(rng, vocabulary, low, high):
    return [rng.randrange(3, vocabulary) for _ in range(rng.randint(low, high))]


def random_case(rng, family, vocabulary):
    long_source = 40 if has_encoder(family) else 25
    examples = [{"input": random_ids(rng, vocabulary, 1, long_source), "target": random_ids(rng, vocabulary, 1, 20)} for _ in range(5)]
    examples.append({"input": random_ids(rng, vocabulary, 1, 4), "target": random_ids(rng, vocabulary, 1, 1)})
    prompts = [random_ids(rng, vocabulary, 1, long_source) for _ in range(6)]
    return {"examples": examples, "prompts": prompts, "max_new_tokens": rng.choice([1, 12, 40]),
            "batch_size": rng.choice([1, 4, 20]), "pad_id": PAD,
            "strategies": {name: draw(rng) for name, (draw, _) in STRATEGIES.items()}}


def padded(rows, value):
    length = max(map(len, rows))
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def reference_batch(family, examples, start):
    if not has_encoder(family):
        sequences = [example["input"] + example["target"] for example in examples]
        labels = [[-100] * (len(e["input"]) - 1) + e["target"] + [-100] for e in examples]
        inputs = {"input_ids": padded(sequences, PAD)}
    else:
        sequences = [example["input"] for example in examples]
        labels = [example["target"] for example in examples]
        inputs = {"input_ids": padded(sequences, PAD), "decoder_input_ids": padded([[start] + row[:-1] for row in labels], PAD)}
    inputs["attention_mask"] = padded([[1] * len(row) for row in sequences], 0)
    return inputs, padded(labels, -100)


def real_positions(family, examples):
    """[rows, length]: padded positions compute nothing that anybody reads."""
    lengths = torch.tensor([len(e["target"]) if has_encoder(family) else len(e["input"] + e["target"]) for e in examples])
    return torch.arange(lengths.max())[None, :] < lengths[:, None]


def reference_values(model, family, examples):
    inputs, labels = reference_batch(family, examples, getattr(model.config, "decoder_start_token_id", None))
    logits = model(**inputs).logits
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    losses.sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    return logits.detach()[real_positions(family, examples)], losses.sum(1).detach(), gradients


def forget_lengths(model):
    """dynamic frequencies remember the longest sequence that went through, so that results depend on what came before."""
    for module in model.modules():
        if hasattr(module, "original_inv_freq"):
            module.inv_freq, module.max_seq_len_cached = module.original_inv_freq.clone(), module.original_max_seq_len


def reference_generation(model, case):
    """The answers of each strategy of the case, and whether each choice in them is clear."""
    ends = model.generation_config.eos_token_id
    ends = set(ends) if isinstance(ends, list) else {ends}
    answers, all_clear = {}, True
    for name, settings in case["strategies"].items():
        answers[name] = []
        for row in range(len(case["prompts"])):
            forget_lengths(model)
            ids, clear = STRATEGIES[name][1](model, case, row, settings)
            answers[name].append({"ids": ids, "stopped": ids[-1] in ends})
            all_clear = all_clear and clear
    return answers, all_clear


def assert_close(found, expected, relative, name, scale=1e-6):
    """`scale`: a value below it counts as one of its size."""
    assert found.shape == expected.shape, name
    difference = (found - expected).abs().max().item()
    assert difference <= relative * max(expected.abs().max().item(), scale), f"{name}: {difference} of {expected.abs().max()}"


def is_near_a_kink(model, family, examples):
    """Whether rounding decides on which side of an activation's kink a number lies, and with that its gradient."""
    near = []

    def look(module, inputs):
        values = inputs[0][inputs[0] != 0]  # exactly 0 is what padding gives
        near.extend(((values - kink).abs() <= 2e-6 * inputs[0].abs().max()).any() for kink in KINKS[type(module)])

    hooks = [module.register_forward_pre_hook(look) for module in model.modules() if type(module) in KINKS]
    with torch.no_grad():
        model(**reference_batch(family, examples, getattr(model.config, "decoder_start_token_id", None))[0])
    for hook in hooks:
        hook.remove()
    return any(near)


def amplifies_rounding(model, family, examples, share):
    """Whether an ulp more or less of each weight moves transformers' own values by more than a quarter of what is allowed."""
    expected, found = (reference_values(which, family, examples) for which in (model, moved_by_an_ulp(model)))
    model.zero_grad()
    try:
        assert_values_close(found, expected, share, part=0.25)
    except AssertionError:
        return True
    return False


def stable_case(rng, family, vocabulary, model, share=SHARE):
    """A random case that has the same values and answers in any order of sums; None where the model has no such case."""
    for _ in range(20):
        case = random_case(rng, family, vocabulary)
        forget_lengths(model)
        if (not is_near_a_kink(model, family, case["examples"]) and not amplifies_rounding(model, family, case["examples"], share)
                and reference_generation(model, case)[1]):
            return case
    return None


def stable_model(rng, family, draw, share=SHARE):
    """Of what `draw()` gives, a model and the size of its vocabulary, the first model that has a stable case; and the case."""
    def draw_with_case(_):
        model, vocabulary = draw()
        case = stable_case(rng, family, vocabulary, model, share)
        return case and (model, case)

    return draw_stable(draw_with_case)


def assert_values_close(found, expected, share, part=1):
    """Logits, rows' losses and gradients by name, within `part` of what is allowed.

    `share`: a gradient below it, as a share of the largest, counts as one of its size: what is zero but for rounding, as of
    a bias of keys or a window of 1, has no relative error.
    """
    (logits, row_losses, gradients), (expected_logits, expected_losses, expected_gradients) = found, expected
    assert_close(logits, expected_logits, part * 1e-5, "logits")
    for row, (loss, expected_loss) in enumerate(zip(row_losses, expected_losses, strict=True)):
        assert_close(loss, expected_loss, part * 1e-5, f"loss of row {row}")
    assert gradients.keys() == expected_gradients.keys()
    scale = share * max(gradient.abs().max().item() for gradient in expected_gradients.values())
    for name, gradient in expected_gradients.items():
        assert_close(gradients[name], gradient, part * 1e-4, f"gradient of {name}", scale)


def assert_values_equal(folder, model, family, case, share=SHARE, name_of=lambda name: name):
    """Logits, losses and gradients that model_probe left in `folder`, against transformers'."""
    logits, row_losses, gradients = reference_values(model, family, case["examples"])
    values, found = load_file(folder / "values.safetensors"), load_file(folder / "gradients.safetensors")
    assert_values_close((values["logits"][real_positions(family, case["examples"])], values["row_loss_sums"], found),
                        (logits, row_losses, {name_of(name): gradient for name, gradient in gradients.items()}), share)
    assert_close(values["loss_sum"][0], row_losses.sum(), 1e-5, "loss")


def compare(family, folder, case, tmp_path, threads=1):
    """Logits, losses, gradients, answers and the saved folder, of the model in `folder` on `case`."""
    (tmp_path / "case.json").write_text(json.dumps(case))
    run("model_probe", folder, tmp_path / "case.json", tmp_path, OMP_NUM_THREADS=str(threads))

    model, _ = open_model(family, folder)
    assert_values_equal(tmp_path, model, family, case)

    generated = json.loads((tmp_path / "generated.json").read_text())
    assert generated == reference_generation(model, case)[0]

    saved, info = open_model(family, tmp_path / "saved")
    assert not any(info[problem] for problem in ["missing_keys", "unexpected_keys", "mismatched_keys"]), info
    forget_lengths(model)
    with torch.no_grad():
        inputs, _ = reference_batch(family, case["examples"], getattr(model.config, "decoder_start_token_id", None))
        assert torch.equal(saved(**inputs).logits, model(**inputs).logits)
    assert saved.config.architectures == [type(saved).__name__]
    assert saved.generation_config.eos_token_id == model.generation_config.eos_token_id


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_transformers(family, seed, tmp_path):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    folder = tmp_path / "model"

    def draw():
        shutil.rmtree(folder, ignore_errors=True)
        vocabulary = rng.choice([29, 83])
        make_model(rng, family, folder, vocabulary, rng.choice([1, [1, 2, 5]]))
        return open_model(family, folder)[0], vocabulary

    _, case = stable_model(rng, family, draw)
    compare(family, folder, case, tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_weights_have_the_distributions_of_transformers(family, tmp_path):
    rng = random.Random(7)
    torch.manual_seed(7)
    config = CONFIGS[family](rng, 400, 1)
    reference = auto_class(family).from_config(config)
    config.save_pretrained(tmp_path / "config")
    for name, seed in [("a", 3), ("b", 3), ("c", 4)]:
        (tmp_path / name).mkdir()
        run("model_probe", "--create", tmp_path / "config", seed, tmp_path / name)
    weights = load_file(tmp_path / "a" / "model.safetensors")
    expected = dict(reference.named_parameters())
    assert weights.keys() - {"lm_head.weight"} == expected.keys() - {"lm_head.weight"}
    for name, parameter in expected.items():
        deviation, error = parameter.std().item(), 6 / parameter.numel() ** 0.5  # six standard errors, two estimates
        assert weights[name].mean().item() == pytest.approx(parameter.mean().item(), abs=error * deviation + 1e-9), name
        assert weights[name].std().item() == pytest.approx(deviation, rel=error, abs=1e-9), name
    same, other = (tmp_path / name / "model.safetensors" for name in "bc")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == same.read_bytes()
    assert same.read_bytes() != other.read_bytes()


def test_a_pretrained_llama_continues_as_in_transformers():
    folder = ROOT / "tests" / "fixtures" / "models" / "stories260k"
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for prompt in ["Once upon a time", "Lily and the big dog"]:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        expected = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=120, pad_token_id=0)[0]
        text = tokenizer.decode(expected[ids.shape[1]:], skip_special_tokens=True)
        found = run("lockstep", "generate", "--model", folder, "--prompt", prompt, "--max-new-tokens", 120).stdout
        assert found == text + "\n"
        assert len(text) > 100


def test_every_strategy_is_compared():
    strategies = re.search(r"--strategy.*?\{([^}]*)\}", run("lockstep", "generate", "--help").stdout, re.S)[1]
    assert strategies.split(",") == list(STRATEGIES)


def test_lockstep_models_and_the_documentation_name_every_family():
    listed = run("lockstep", "models").stdout
    page = (ROOT / "docs" / "models.md").read_text()
    for family in FAMILIES:
        model_type = family.split("-")[0]
        assert f"\n{model_type}\n" in listed
        assert f"`{model_type}`" in page
