"""LoRA adapters against peft, on random configurations of every family: adapters made there and here, training, merging."""

import json
import random
import re
import shutil

import peft
import pytest
import torch
from conftest import EXAMPLE_MODELS, draw_stable, example_rows, read_lines, run, seed_of, setting, write_rows
from model_families import DEFAULT_TARGETS, FAMILIES, has_encoder, make_model
from models import assert_close, assert_values_equal, forget_lengths, open_model, reference_generation, stable_case, stable_model
from safetensors.torch import load_file, save_file
from training_workplace import encode, step_losses, torch_losses, write_job
from transformers import AutoTokenizer

torch.set_num_threads(1)

PEFT_DEFAULTS = peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
# Families whose layers differ; with more cases, all.
TRAINED = FAMILIES if setting("CASES", 2) > 2 else ["t5-v1.1", "umt5", "gpt2", "llama", "phi3", "opt"]
SHARE = 0.1  # of models.assert_values_close(): lora_alpha multiplies the rounding of what is zero, too
DROPOUTS = ["dropout_rate", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "attention_dropout"]


def base_model(rng, family, folder):
    """Random configuration and weights, with an example's tokenizer and without dropout, whose rows do not depend on padding."""
    source = EXAMPLE_MODELS["t5" if has_encoder(family) else "gpt2"]
    vocabulary = json.loads((source / "config.json").read_text())["vocab_size"]
    while True:
        make_model(rng, family, folder, vocabulary, 1 if has_encoder(family) else 0)
        config = json.loads((folder / "config.json").read_text())
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        if rope.get("rope_type", rope.get("type", "default")) not in ("dynamic", "longrope", "su"):
            break
        shutil.rmtree(folder)
    config.update({key: 0.0 for key in DROPOUTS if key in config})
    (folder / "config.json").write_text(json.dumps(config))
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)  # a tokenizer.json, which serves every type of model
    return vocabulary


def short_rows(family, count, seed):
    """So short that no model's positions cut them."""
    rows = example_rows("t5" if has_encoder(family) else "gpt2", 200, seed)
    return [row for row in rows if len(row["model_input"]) + len(row["model_output"]) < 90][:count]


def linear_modules(model):
    linear = [name for name, module in model.named_modules() if type(module).__name__ in ("Linear", "Conv1D", "FalconLinear")]
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return [name for name in linear if not (is_tied and name == "lm_head")]


def random_targets(rng, modules):
    ends = sorted({name.rsplit(".", 1)[-1] for name in modules})
    inner = [name for name in modules if name != "lm_head"]
    return rng.choice(["all-linear", rng.sample(ends, rng.randint(1, len(ends))), rng.sample(modules, rng.randint(1, len(modules))),
                       rf".*\.({'|'.join(rng.sample(sorted({n.rsplit('.', 1)[-1] for n in inner}), 1))})"])


def random_patterns(rng, patterns, values):
    """In the order of their names, in which peft saves them: the first that matches counts."""
    return dict(sorted((rng.choice(patterns), rng.choice(values)) for _ in range(rng.choice([0, 0, 1, 2]))))


def random_config(rng, family, modules):
    patterns = sorted({name.rsplit(".", 1)[-1] for name in modules}) + modules + [r".*\.0\..*", "^" + modules[0].replace(".", r"\.")]
    return peft.LoraConfig(
        task_type="SEQ_2_SEQ_LM" if has_encoder(family) else "CAUSAL_LM", r=rng.choice([1, 2, 5, 8]), lora_alpha=rng.choice([1, 7, 16, 32]),
        use_rslora=rng.choice([True, False]), lora_dropout=rng.choice([0.0, 0.1]), target_modules=random_targets(rng, modules),
        rank_pattern=random_patterns(rng, patterns, [1, 3, 6]), alpha_pattern=random_patterns(rng, patterns, [2, 20]))


def make_adapter(rng, family, base, folder):
    """An adapter of peft's whose A and B are random."""
    model, _ = open_model(family, base)
    adapted = peft.get_peft_model(model, random_config(rng, family, linear_modules(model)))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.2 if "lora_A" in name else 0.05)  # little enough for T5's scores to stay moderate
    adapted.save_pretrained(folder)
    return adapted.eval()


def open_adapter(family, base, folder):
    return peft.PeftModel.from_pretrained(open_model(family, base)[0], folder, is_trainable=True).eval()


def adapter_name(name):
    return name.removeprefix("base_model.model.").replace(".default.", ".")


def assert_probe_equals(folder, adapted, family, case):
    model = adapted.get_base_model()
    forget_lengths(model)
    assert_values_equal(folder, model, family, case, SHARE, name_of=adapter_name)


def assert_same_adapter(folder, expected):
    """But for the base's own head, which peft saves beside an adapted one."""
    found, expected = (load_file(path / "adapter_model.safetensors") for path in (folder, expected))
    expected = {name: tensor for name, tensor in expected.items() if "base_layer" not in name}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def merged_by_peft(adapted):
    return dict(adapted.merge_and_unload().state_dict())


def assert_merged(family, folder, expected):
    model, info = open_model(family, folder)
    assert not any(info[problem] for problem in ["missing_keys", "unexpected_keys", "mismatched_keys"]), info
    found = dict(model.state_dict())
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert_close(found[name], weight, 1e-6, name)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_of_peft_computes_the_same_and_merges(family, seed, tmp_path):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    base, adapter = tmp_path / "base", tmp_path / "adapter"

    def draw():
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(adapter, ignore_errors=True)
        vocabulary = base_model(rng, family, base)
        return make_adapter(rng, family, base, adapter), vocabulary

    adapted, case = stable_model(rng, family, draw, SHARE)
    (tmp_path / "case.json").write_text(json.dumps(case))
    run("model_probe", base, tmp_path / "case.json", tmp_path, adapter, OMP_NUM_THREADS="1")
    assert_probe_equals(tmp_path, adapted, family, case)
    generated = json.loads((tmp_path / "generated.json").read_text())
    assert generated == reference_generation(adapted.get_base_model(), case)[0]

    assert_same_adapter(tmp_path / "saved", adapter)
    saved, given = (json.loads((path / "adapter_config.json").read_text()) for path in (tmp_path / "saved", adapter))
    assert saved == given

    run("lockstep", "merge", "--model", adapter, "--output", tmp_path / "merged", "--max-shard-size", "200KB")
    assert_merged(family, tmp_path / "merged", merged_by_peft(adapted))


def test_the_layers_adapted_by_default_are_those_of_peft():
    listed = re.findall(r"^(\w+)\n(?:  .*\n)*?  LoRA: +(.*) by default", run("lockstep", "models").stdout, re.MULTILINE)
    assert {model_type for model_type, _ in listed} == {family.split("-")[0] for family in FAMILIES}
    for model_type, targets in listed:
        assert targets.split(", ") == (DEFAULT_TARGETS.get(model_type) or PEFT_DEFAULTS[model_type]), model_type


def train_as_peft_does(rng, family, seed, tmp_path):
    """Checks what training begins with and its losses; the folder of the base, and the trained adapter as peft opens it."""
    base = tmp_path / "base"

    def draw():
        shutil.rmtree(base, ignore_errors=True)
        vocabulary = base_model(rng, family, base)
        return open_model(family, base)[0], vocabulary

    model, _ = stable_model(rng, family, draw)
    rows = short_rows(family, 5, seed)
    job = write_job(tmp_path, base, rows, has_encoder(family), max_steps=3, global_batch_size=5, per_device_train_batch_size=3,
                    learning_rate=2e-2, weight_decay=0.1, warmup_steps=1, peft_type="lora")
    run("lockstep-prep", job)
    targets = rng.choice([[], ["lora_target_modules=all-linear"]])
    fresh = tmp_path / "fresh"
    run("lockstep", "train", job, f"output_dir={fresh}", "max_steps=1", "learning_rate=0", "lora_r=4", *targets)

    # As born: B is 0, A uniform; by default in peft's modules.
    tensors = load_file(fresh / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        bound = 0 if "lora_B" in name else tensor.shape[1] ** -0.5
        assert tensor.shape["lora_B" in name] == 4 and tensor.abs().max() <= bound, name
        assert "lora_B" in name or tensor.std() == pytest.approx(bound / 3 ** 0.5, rel=4 / tensor.numel() ** 0.5), name
    config = peft.PeftConfig.from_pretrained(fresh)
    model_type = model.config.model_type
    expected = DEFAULT_TARGETS.get(model_type) or PEFT_DEFAULTS[model_type]
    inner = [name for name in linear_modules(model) if name != "lm_head"]
    assert config.target_modules == set(inner if targets else expected)
    assert config.base_model_name_or_path == str(base) and (config.r, config.lora_alpha) == (4, 16)

    # Then from there, so that both start from the same weights.
    adapted = open_adapter(family, base, fresh)
    run("lockstep", "train", job, f"pretrained_model_name={fresh}", *targets)
    tokenizer = AutoTokenizer.from_pretrained(base)
    examples = [encode(tokenizer, row, has_encoder(family)) for row in rows]
    losses = torch_losses(adapted, [examples] * 3, has_encoder(family), 2e-2, 0.1, 1)
    assert step_losses(tmp_path / "result") == pytest.approx(losses, rel=1e-4)

    result = tmp_path / "result"
    assert not (result / "config.json").exists() and not (result / "model.safetensors").exists()
    trained = open_adapter(family, base, result)
    return base, trained


@pytest.mark.parametrize("family", TRAINED)
def test_training_follows_peft_and_peft_loads_the_result(family, request, tmp_path):
    seed = seed_of(request)
    print(f"seed {seed} (again: LOCKSTEP_SEED={seed})")
    rng = random.Random(seed)
    torch.manual_seed(seed)

    def draw(attempt):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        base, trained = train_as_peft_does(rng, family, seed, folder)
        case = stable_case(rng, family, trained.config.vocab_size, trained, SHARE)
        return case and (folder, base, trained, case)

    folder, base, trained, case = draw_stable(draw, attempts=5)
    (folder / "case.json").write_text(json.dumps(case))
    run("model_probe", base, folder / "case.json", folder, folder / "result", OMP_NUM_THREADS="1")
    assert any(parameter.abs().max() > 0 for name, parameter in trained.named_parameters() if "lora_B" in name)
    assert_probe_equals(folder, trained, family, case)


@pytest.mark.parametrize("kind", ["t5-v1.1", "gpt2"])
def test_ranks_and_micro_batches_change_nothing_with_dropout(kind, tmp_path):
    rng = random.Random(3)
    torch.manual_seed(3)
    base_model(rng, kind, tmp_path / "base")
    rows = short_rows(kind, 12, 3)
    job = write_job(tmp_path, tmp_path / "base", rows, has_encoder(kind), num_train_epochs=3, global_batch_size=6,
                    learning_rate=2e-2, peft_type="lora", lora_dropout=0.3, lora_target_modules="all-linear")
    run("lockstep-prep", job)
    losses, adapters = [], []
    for ranks, rows_each in [(None, 6), (2, 2)]:
        output = tmp_path / f"result-{ranks}"
        run("lockstep", "train", job, f"output_dir={output}", f"per_device_train_batch_size={rows_each}", ranks=ranks)
        losses.append(step_losses(output))
        adapters.append(load_file(output / "adapter_model.safetensors"))
    run("lockstep", "train", job, f"output_dir={tmp_path / 'dry'}", "lora_dropout=0")
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert step_losses(tmp_path / "dry") != pytest.approx(losses[0], rel=1e-3)
    for name, tensor in adapters[0].items():
        assert_close(adapters[1][name], tensor, 1e-3, name)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A GPT-2, an adapter of peft's on it, and a job."""
    folder = tmp_path_factory.mktemp("small")
    rng = random.Random(11)
    torch.manual_seed(11)
    base_model(rng, "gpt2", folder / "base")
    model, _ = open_model("gpt2", folder / "base")
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=3, target_modules=["c_attn", "c_fc"]))
    adapted.save_pretrained(folder / "adapter")
    job = write_job(folder, folder / "base", short_rows("gpt2", 6, 1), False, max_steps=1)
    run("lockstep-prep", job)
    return folder


@pytest.fixture
def adapter(small, tmp_path):
    return shutil.copytree(small / "adapter", tmp_path / "adapter")


def refused(*command, names):
    finished = run(*command, check=False)
    assert finished.returncode == 1, finished.stderr
    errors = [line for line in finished.stderr.splitlines() if line.startswith("lockstep: error:")]
    assert len(errors) == 1, finished.stderr
    for name in names:
        assert name in errors[0], errors[0]


def generate(folder):
    return ["lockstep", "generate", "--model", folder, "--prompt", "list files", "--max-new-tokens", 4]


def change(adapter, **keys):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@pytest.mark.parametrize("keys", [
    {"peft_type": "IA3"}, {"use_dora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"lora_bias": True},
    {"layer_replication": [[0, 1]]}, {"trainable_token_indices": [1]}, {"init_lora_weights": "pissa"},
    {"init_lora_weights": "olora"}, {"target_parameters": ["x"]}, {"use_qalora": True}, {"r": 0}, {"r": 4},
    {"lora_dropout": 1.5}, {"rank_pattern": {"c_attn": "x"}}, {"rank_pattern": {"(": 3}}, {"target_modules": 3},
    {"target_modules": ["c_attn", "c_fc", "c_proj"]}, {"base_model_name_or_path": None}, {"base_model_name_or_path": "/absent/base"}])
def test_adapters_that_are_not_computed_are_refused_by_name(keys, adapter):
    change(adapter, **keys)
    refused(*generate(adapter), names=["c_proj" if "c_proj" in str(keys) else "/absent/base" if "/absent" in str(keys) else
                                       "[4, " if keys == {"r": 4} else next(iter(keys))])


def test_tensors_that_do_not_fit_are_named(adapter):
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    name = "base_model.model.transformer.h.0.attn.c_attn.lora_B.weight"
    for changed, words in [({k: v for k, v in tensors.items() if k != name}, [name, "missing"]),
                           ({**tensors, "base_model.model.score.lora_A.weight": torch.zeros(2, 2)}, ["score", "c_attn"]),
                           ({**tensors, "base_model.model.transformer.wte.lora_embedding_A": torch.zeros(2, 2)}, ["lora_embedding_A"]),
                           ({**tensors, name: torch.zeros(3, 3)}, [name, "[3, 3]"]), ({}, ["missing"])]:
        save_file(changed, path)
        refused(*generate(adapter), names=[path.name, *words])
    path.unlink()
    refused(*generate(adapter), names=[path.name, "adapter_model.bin"])


def test_an_adapted_head_must_be_that_of_the_base(small, adapter):
    path = adapter / "adapter_model.safetensors"
    head = "base_model.model.transformer.h.0.attn.c_attn.base_layer.weight"
    weight = load_file(small / "base" / "model.safetensors")
    weight = next(tensor for name, tensor in weight.items() if name.endswith("h.0.attn.c_attn.weight")).float()
    tensors = load_file(path)
    save_file({**tensors, head: weight}, path)
    run(*generate(adapter))
    save_file({**tensors, head: weight + 1}, path)
    refused(*generate(adapter), names=[head, "base"])


def test_a_pickled_adapter_is_the_same(small, adapter):
    expected = run(*generate(small / "adapter")).stdout
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    assert run(*generate(adapter)).stdout == expected


def test_jobs_that_contradict_are_refused(small, tmp_path):
    job, output = small / "job.yaml", f"output_dir={tmp_path / 'result'}"
    adapter = f"pretrained_model_name={small / 'adapter'}"
    train = ["lockstep", "train", job, output]
    refused(*train, "lora_r=4", names=["peft_type: lora"])
    refused(*train, "peft_type=lora", "lora_target_modules=[c_attn, q_proj]", names=["q_proj", "c_attn", "c_proj", "all-linear"])
    refused(*train, "peft_type=lora", "lora_target_modules=wte", names=["wte"])
    refused(*train, "peft_type=ia3", names=["peft_type", "lora"])
    refused(*train, "peft_type=lora", "from_scratch=true", names=["from_scratch"])
    refused(*train, adapter, names=["peft_type: lora", "lockstep merge"])
    refused(*train, adapter, "peft_type=lora", "lora_r=4", names=["lora_r", "3"])
    refused(*train, adapter, "peft_type=lora", "lora_target_modules=[c_fc]", names=["lora_target_modules"])
    assert not (tmp_path / "result").exists()
    run(*train, adapter, "peft_type=lora", "lora_r=3", "lora_target_modules=[c_fc, c_attn]")
    refused("lockstep", "merge", "--model", small / "base", "--output", tmp_path / "merged", names=["lockstep export"])


def test_every_command_takes_an_adapter(small, adapter, tmp_path):
    """The tokenizer is the adapter's where it has one; keys of its config that nobody knows are kept."""
    change(adapter, unknown_key=[1])
    rows = write_rows(tmp_path / "rows.jsonl", example_rows("gpt2", 3, 5))
    for folder in (small / "base", adapter):  # B is 0: nothing changes
        run("lockstep", "evaluate", "--model", folder, "--dataset", rows, "--output", tmp_path / f"{folder.name}.jsonl")
    base, adapted = (read_lines(tmp_path / f"{name}.jsonl") for name in ("base", "adapter"))
    assert [row["loss_sum"] for row in base] == pytest.approx([row["loss_sum"] for row in adapted], rel=1e-6)

    run("lockstep", "export", "--model", adapter, "--output", tmp_path / "half", "--dtype", "bf16")
    assert {tensor.dtype for tensor in load_file(tmp_path / "half" / "adapter_model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "half" / "adapter_config.json").read_text())["unknown_key"] == [1]
    assert (tmp_path / "half" / "tokenizer.json").exists()
    assert run(*generate(tmp_path / "half")).stdout == run(*generate(small / "base")).stdout

    job = small / "job.yaml"
    settings = [f"pretrained_model_name={tmp_path / 'half'}", f"prepared_dir={tmp_path / 'prepared'}", "peft_type=lora"]
    run("lockstep-prep", job, *settings)
    run("lockstep", "train", job, *settings, f"output_dir={tmp_path / 'result'}")
    assert (tmp_path / "result" / "adapter_model.safetensors").exists()


def test_a_whole_model_takes_the_place_of_an_adapter(small, tmp_path):
    """transformers applies an adapter that it finds beside a model."""
    job, output = small / "job.yaml", f"output_dir={tmp_path / 'result'}"
    run("lockstep", "train", job, output, "peft_type=lora")
    run("lockstep", "train", job, output, "overwrite_output_dir=true")
    assert not list((tmp_path / "result").glob("adapter_*"))
    model, _ = open_model("gpt2", tmp_path / "result")
    assert type(model).__name__ == "GPT2LMHeadModel"
