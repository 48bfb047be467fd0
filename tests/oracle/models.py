"""Forward, loss, gradients, greedy generation and saved folders against transformers, on random configurations."""

import json
import random

import pytest
import torch
import transformers
from conftest import run
from safetensors.torch import load_file, save_file

FAMILIES = ["t5-v1.0", "t5-v1.1", "gpt2"]
PAD = 0

torch.set_num_threads(2)


def t5_config(rng, version, vocabulary, eos):
    feed_forward = rng.choice(["relu", "gelu", "silu"]) if version == "v1.0" else rng.choice(["gated-gelu", "gated-gelu", "gated-silu", "gated-relu"])
    buckets = rng.choice([4, 8, 32])
    return transformers.T5Config(
        vocab_size=vocabulary, d_model=rng.choice([16, 24, 40]), d_kv=rng.choice([4, 7, 16]), d_ff=rng.choice([20, 64]),
        num_layers=rng.choice([1, 2, 3]), num_decoder_layers=rng.choice([None, 1, 2]), num_heads=rng.choice([1, 2, 5]),
        relative_attention_num_buckets=buckets, relative_attention_max_distance=rng.choice([buckets // 2 + 3, 20, 128]),
        layer_norm_epsilon=rng.choice([1e-6, 1e-3]), feed_forward_proj=feed_forward,
        initializer_factor=rng.choice([0.7, 1.0]), tie_word_embeddings=version == "v1.0",
        pad_token_id=PAD, decoder_start_token_id=rng.choice([PAD, 2]), eos_token_id=eos)


def gpt2_config(rng, vocabulary, eos):
    heads = rng.choice([1, 2, 4])
    return transformers.GPT2Config(
        vocab_size=vocabulary, n_positions=96, n_embd=heads * rng.choice([6, 16]), n_head=heads, n_layer=rng.choice([1, 2, 3]),
        n_inner=rng.choice([None, 30]), activation_function=rng.choice(["gelu_new", "gelu", "relu", "silu", "quick_gelu", "tanh"]),
        layer_norm_epsilon=rng.choice([1e-5, 1e-3]), initializer_range=0.3, scale_attn_weights=rng.choice([True, False]),
        scale_attn_by_inverse_layer_idx=rng.choice([True, False]), reorder_and_upcast_attn=rng.choice([True, False]),
        tie_word_embeddings=rng.choice([True, False]), bos_token_id=None, eos_token_id=eos)


def rewrite_as_hub_files(rng, family, folder, vocabulary):
    """Makes the saved folder look like older ones on the hub: other dtypes, names, copies and left-over tensors."""
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    if family == "t5-v1.1":  # as Google's: a head of its own, and the flag that says so
        config["tie_word_embeddings"] = False
        config.pop("scale_decoder_outputs", None)
        tensors["lm_head.weight"] = torch.randn_like(tensors["shared.weight"])
    elif family == "t5-v1.0" and rng.random() < 0.5:
        tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"].clone()
        tensors["decoder.embed_tokens.weight"] = tensors["shared.weight"].clone()
        tensors["lm_head.weight"] = tensors["shared.weight"].clone()
        heads, buckets = config["num_heads"], config["relative_attention_num_buckets"]
        tensors["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.zeros(buckets, heads)
    elif family == "gpt2" and rng.random() < 0.5 and config["tie_word_embeddings"]:
        tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
        for layer in range(config["n_layer"]):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 96, 96).tril()
            if rng.random() < 0.5:
                tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    dtype = rng.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16])
    if dtype != torch.float32:
        tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        config.pop("dtype", None)
        config["torch_dtype"] = str(dtype).removeprefix("torch.")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    if rng.random() < 0.5:
        (folder / "generation_config.json").unlink()


def open_model(family, folder):
    auto = transformers.AutoModelForCausalLM if family == "gpt2" else transformers.AutoModelForSeq2SeqLM
    model, info = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    return model.eval(), info


def random_ids(rng, vocabulary, low, high):
    return [rng.randrange(3, vocabulary) for _ in range(rng.randint(low, high))]


def random_case(rng, family, vocabulary):
    long_source = 40 if family != "gpt2" else 25
    examples = [{"input": random_ids(rng, vocabulary, 1, long_source), "target": random_ids(rng, vocabulary, 1, 20)} for _ in range(5)]
    examples.append({"input": random_ids(rng, vocabulary, 1, 4), "target": random_ids(rng, vocabulary, 1, 1)})
    prompts = [random_ids(rng, vocabulary, 1, long_source) for _ in range(9)]
    return {"examples": examples, "prompts": prompts, "max_new_tokens": rng.choice([1, 12, 40]),
            "batch_size": rng.choice([1, 4, 20]), "pad_id": PAD}


def padded(rows, value):
    length = max(map(len, rows))
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def reference_batch(family, examples, start):
    if family == "gpt2":
        sequences = [example["input"] + example["target"] for example in examples]
        labels = [[-100] * (len(e["input"]) - 1) + e["target"] + [-100] for e in examples]
        inputs = {"input_ids": padded(sequences, PAD)}
    else:
        sequences = [example["input"] for example in examples]
        labels = [example["target"] for example in examples]
        inputs = {"input_ids": padded(sequences, PAD), "decoder_input_ids": padded([[start] + row[:-1] for row in labels], PAD)}
    inputs["attention_mask"] = padded([[1] * len(row) for row in sequences], 0)
    return inputs, padded(labels, -100), sequences


def reference_values(model, family, examples):
    inputs, labels, sequences = reference_batch(family, examples, getattr(model.config, "decoder_start_token_id", None))
    logits = model(**inputs).logits
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    losses.sum().backward()
    # Padded positions compute nothing that anybody reads.
    lengths = [len(row) for row in sequences] if family == "gpt2" else [len(e["target"]) for e in examples]
    real = torch.arange(labels.shape[1])[None, :] < torch.tensor(lengths)[:, None]
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return logits.detach()[real], losses.sum(1).detach(), gradients, real


# Without its cache, which transformers sizes by the number of encoder layers: fewer than a decoder may have.
def reference_generation(model, family, prompts, max_new_tokens):
    ends = model.generation_config.eos_token_id
    ends = set(ends) if isinstance(ends, list) else {ends}
    rows = []
    for prompt in prompts:
        ids = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                             do_sample=False, use_cache=False, max_new_tokens=max_new_tokens)[0].tolist()
        ids = ids[len(prompt):] if family == "gpt2" else ids[1:]
        rows.append({"ids": ids, "stopped": ids[-1] in ends})
    return rows


def assert_close(found, expected, relative, name):
    assert found.shape == expected.shape, name
    difference = (found - expected).abs().max().item()
    assert difference <= relative * max(expected.abs().max().item(), 1e-6), f"{name}: {difference} of {expected.abs().max()}"


def make_model(rng, family, folder):
    vocabulary = rng.choice([29, 83])
    eos = rng.choice([1, [1, 2, 5]])
    config = gpt2_config(rng, vocabulary, eos) if family == "gpt2" else t5_config(rng, family.removeprefix("t5-"), vocabulary, eos)
    model_class = transformers.GPT2LMHeadModel if family == "gpt2" else transformers.T5ForConditionalGeneration
    model = model_class(config)
    with torch.no_grad():  # biases and norms too, which are born as 0 and 1
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.generation_config.eos_token_id = eos
    model.save_pretrained(folder)
    rewrite_as_hub_files(rng, family, folder, vocabulary)
    return vocabulary


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_transformers(family, seed, tmp_path):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    folder = tmp_path / "model"
    vocabulary = make_model(rng, family, folder)
    case = random_case(rng, family, vocabulary)
    (tmp_path / "case.json").write_text(json.dumps(case))
    run("model_probe", folder, tmp_path / "case.json", tmp_path)

    model, _ = open_model(family, folder)
    logits, row_losses, gradients, real = reference_values(model, family, case["examples"])
    values = load_file(tmp_path / "values.safetensors")
    assert_close(values["logits"][real], logits, 1e-5, "logits")
    for found, expected in zip(values["row_loss_sums"], row_losses):
        assert_close(found, expected, 1e-5, "row loss")
    assert_close(values["loss_sum"][0], row_losses.sum(), 1e-5, "loss")

    found_gradients = load_file(tmp_path / "gradients.safetensors")
    assert found_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert_close(found_gradients[name], gradient, 1e-4, f"gradient of {name}")

    generated = json.loads((tmp_path / "generated.json").read_text())
    assert generated == reference_generation(model, family, case["prompts"], case["max_new_tokens"])

    saved, info = open_model(family, tmp_path / "saved")
    assert not any(info[problem] for problem in ["missing_keys", "unexpected_keys", "mismatched_keys"]), info
    with torch.no_grad():
        inputs, _, _ = reference_batch(family, case["examples"], getattr(model.config, "decoder_start_token_id", None))
        assert torch.equal(saved(**inputs).logits, model(**inputs).logits)
    assert saved.config.architectures == [type(saved).__name__]
    assert saved.generation_config.eos_token_id == model.generation_config.eos_token_id


@pytest.mark.parametrize("family", FAMILIES)
def test_random_weights_have_the_distributions_of_transformers(family, tmp_path):
    rng = random.Random(7)
    torch.manual_seed(7)
    if family == "gpt2":
        config = transformers.GPT2Config(vocab_size=400, n_positions=64, n_embd=64, n_head=4, n_layer=3)
        reference = transformers.GPT2LMHeadModel(config)
    else:
        config = t5_config(rng, family.removeprefix("t5-"), 400, 1)
        config.d_model, config.d_ff, config.num_heads, config.relative_attention_num_buckets = 64, 96, 4, 32
        reference = transformers.T5ForConditionalGeneration(config)
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
