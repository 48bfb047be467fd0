"""Random small configurations of every family of models, and files as older versions left them on the hub."""

import json

import torch
import transformers
from safetensors.torch import load_file, save_file

PAD = 0
LONGEST = 96  # positions, where a family has a limit
ACTIVATIONS = ["gelu_new", "gelu", "relu", "silu", "quick_gelu", "tanh", "gelu_pytorch_tanh", "gelu_fast", "relu2", "mish",
               "hardswish", "leaky_relu", "sigmoid", "relu6", "laplace", "gelu_10", "linear", "sqrtsoftplus"]


def t5_config(rng, vocabulary, eos, version):
    feed_forward = rng.choice(["relu", "gelu", "silu"]) if version == "v1.0" else rng.choice(["gated-gelu", "gated-gelu", "gated-silu", "gated-relu"])
    buckets = rng.choice([4, 8, 32])
    return transformers.T5Config(
        vocab_size=vocabulary, d_model=rng.choice([16, 24, 40]), d_kv=rng.choice([4, 7, 16]), d_ff=rng.choice([20, 64]),
        num_layers=rng.choice([1, 2, 3]), num_decoder_layers=rng.choice([None, 1, 2]), num_heads=rng.choice([1, 2, 5]),
        relative_attention_num_buckets=buckets, relative_attention_max_distance=rng.choice([buckets // 2 + 3, 20, 128]),
        layer_norm_epsilon=rng.choice([1e-6, 1e-3]), feed_forward_proj=feed_forward,
        initializer_factor=rng.choice([0.7, 1.0]), tie_word_embeddings=version == "v1.0",
        pad_token_id=PAD, decoder_start_token_id=rng.choice([PAD, 2]), eos_token_id=eos)


def mt5_config(rng, vocabulary, eos, config_class=None):
    buckets = rng.choice([4, 8, 32])
    return (config_class or transformers.MT5Config)(
        vocab_size=vocabulary, d_model=rng.choice([16, 24, 40]), d_kv=rng.choice([4, 7, 16]), d_ff=rng.choice([20, 64]),
        num_layers=rng.choice([1, 2, 3]), num_decoder_layers=rng.choice([None, 1, 2]), num_heads=rng.choice([1, 2, 5]),
        relative_attention_num_buckets=buckets, relative_attention_max_distance=rng.choice([buckets // 2 + 3, 20, 128]),
        layer_norm_epsilon=rng.choice([1e-6, 1e-3]), feed_forward_proj=rng.choice(["gated-gelu", "gated-silu", "relu"]),
        initializer_factor=rng.choice([0.7, 1.0]), pad_token_id=PAD, decoder_start_token_id=rng.choice([PAD, 2]), eos_token_id=eos)


def umt5_config(rng, vocabulary, eos):
    return mt5_config(rng, vocabulary, eos, transformers.UMT5Config)


def gpt2_config(rng, vocabulary, eos):
    heads = rng.choice([1, 2, 4])
    return transformers.GPT2Config(
        vocab_size=vocabulary, n_positions=LONGEST, n_embd=heads * rng.choice([6, 16]), n_head=heads, n_layer=rng.choice([1, 2, 3]),
        n_inner=rng.choice([None, 30]), activation_function=rng.choice(ACTIVATIONS),
        layer_norm_epsilon=rng.choice([1e-5, 1e-3]), initializer_range=0.3, scale_attn_weights=rng.choice([True, False]),
        scale_attn_by_inverse_layer_idx=rng.choice([True, False]), reorder_and_upcast_attn=rng.choice([True, False]),
        tie_word_embeddings=rng.choice([True, False]), bos_token_id=None, eos_token_id=eos)


def rope(rng, features, types=("default", "linear", "dynamic", "yarn", "longrope", "llama3")):
    """rope_parameters for `features` rotated a head, and max_position_embeddings: often less than the sequences have."""
    kind = rng.choice(types)
    positions = rng.choice([16, 30, 200])
    parameters = {"rope_type": kind, "rope_theta": rng.choice([10000.0, 500.0, 1000000.0])}
    if kind != "default":
        parameters["factor"] = rng.choice([2.0, 4, 8.5])
    if kind in ("yarn", "longrope", "llama3"):
        parameters["original_max_position_embeddings"] = rng.choice([8, 20, positions])
    if kind == "llama3":
        parameters.update(low_freq_factor=rng.choice([1.0, 1.5]), high_freq_factor=rng.choice([4.0, 6]))
    if kind == "longrope":
        for name in ("short_factor", "long_factor"):
            parameters[name] = [rng.uniform(1, 5) for _ in range((features + 1) // 2)]
    if kind in ("yarn", "longrope") and rng.random() < 0.3:
        parameters["attention_factor"] = rng.choice([0.8, 1.3])
    if kind == "yarn":
        for name, value in {"beta_fast": 16, "beta_slow": 2, "truncate": False}.items():
            if rng.random() < 0.4:
                parameters[name] = value
        if rng.random() < 0.4:
            parameters.update(mscale=0.7, mscale_all_dim=1.2)
    return {"rope_parameters": parameters, "max_position_embeddings": positions}


def sizes(rng, vocabulary, eos, head_features=(6, 16)):
    """What Llama's relatives have in common."""
    heads = rng.choice([1, 2, 4, 6])
    return {"vocab_size": vocabulary, "hidden_size": heads * rng.choice(head_features), "num_attention_heads": heads,
            "num_hidden_layers": rng.choice([1, 2, 3]), "intermediate_size": rng.choice([20, 48]),
            "num_key_value_heads": rng.choice([divisor for divisor in (1, 2, 3, 6, heads) if heads % divisor == 0]),
            "rms_norm_eps": rng.choice([1e-6, 1e-3]), "hidden_act": rng.choice(ACTIVATIONS), "initializer_range": 0.3,
            "tie_word_embeddings": rng.choice([True, False]), "pad_token_id": rng.choice([None, PAD, vocabulary - 1]),
            "bos_token_id": None, "eos_token_id": eos}


def head_features(rng, options):
    given = rng.choice([None, None, 8, 20])
    return {"head_dim": given} if given else {"head_dim": options["hidden_size"] // options["num_attention_heads"]}


def window(rng):
    return rng.choice([1, 4, 9, 200])


def sliding_layers(rng, layers):
    """Of use_sliding_window: by number, by name, or none."""
    if rng.random() < 0.3:
        return {"use_sliding_window": False, "sliding_window": 4, "max_window_layers": 0}
    options = {"use_sliding_window": True, "sliding_window": window(rng), "max_window_layers": rng.choice([0, 1, 28])}
    if rng.random() < 0.5:
        options["layer_types"] = [rng.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]
    return options


def llama_config(rng, vocabulary, eos):
    options = sizes(rng, vocabulary, eos)
    options.update(head_features(rng, options))
    return transformers.LlamaConfig(**options, **rope(rng, options["head_dim"]), attention_bias=rng.choice([True, False]),
                                    mlp_bias=rng.choice([True, False]), pretraining_tp=rng.choice([1, 2]))


def mistral_config(rng, vocabulary, eos):
    options = sizes(rng, vocabulary, eos)
    options.update(head_features(rng, options))
    return transformers.MistralConfig(**options, **rope(rng, options["head_dim"]),
                                      sliding_window=rng.choice([None, window(rng), window(rng)]))


def qwen2_config(rng, vocabulary, eos):
    options = sizes(rng, vocabulary, eos)
    return transformers.Qwen2Config(**options, **rope(rng, options["hidden_size"] // options["num_attention_heads"]),
                                    **sliding_layers(rng, options["num_hidden_layers"]))


def qwen3_config(rng, vocabulary, eos):
    options = sizes(rng, vocabulary, eos)
    options.update(head_features(rng, options))
    return transformers.Qwen3Config(**options, **rope(rng, options["head_dim"]), attention_bias=rng.choice([True, False]),
                                    **sliding_layers(rng, options["num_hidden_layers"]))


def gpt_neox_config(rng, vocabulary, eos):
    heads, features = rng.choice([1, 2, 4]), rng.choice([6, 16, 20])
    partial = rng.choice([0.25, 0.5, 0.77, 1.0, 0.05])
    rotated = int(features * partial)
    kinds = ("default", "linear", "dynamic", "longrope", "llama3") + (("yarn",) if rotated % 2 == 0 else ())
    positions = rope(rng, rotated, kinds if rotated > 2 else ("default", "linear", "llama3"))
    positions["rope_parameters"]["partial_rotary_factor"] = partial
    return transformers.GPTNeoXConfig(
        vocab_size=vocabulary, hidden_size=heads * features, num_attention_heads=heads, num_hidden_layers=rng.choice([1, 2, 3]),
        intermediate_size=rng.choice([20, 48]), hidden_act=rng.choice(ACTIVATIONS), layer_norm_eps=rng.choice([1e-5, 1e-3]),
        use_parallel_residual=rng.choice([True, False]), attention_bias=rng.choice([True, False]), initializer_range=0.3,
        tie_word_embeddings=rng.choice([True, False]), bos_token_id=None, eos_token_id=eos, **positions)


def phi3_config(rng, vocabulary, eos):
    options = sizes(rng, vocabulary, eos, head_features=(8, 16))
    features = options["hidden_size"] // options["num_attention_heads"]
    partial = rng.choice([1.0, 0.75, 0.5])
    positions = rope(rng, int(features * partial), ("default", "longrope"))
    positions["rope_parameters"]["partial_rotary_factor"] = partial
    positions["original_max_position_embeddings"] = positions["rope_parameters"].get("original_max_position_embeddings", 4096)
    if rng.random() < 0.5:
        positions["rope_parameters"].pop("factor", None)
    return transformers.Phi3Config(**options, **positions, sliding_window=rng.choice([None, window(rng)]))


def gemma_config(rng, vocabulary, eos):
    options = sizes(rng, vocabulary, eos)
    options.update(head_features(rng, options))
    options["hidden_act"] = rng.choice(["gelu", "gelu_pytorch_tanh", "silu"])
    return transformers.GemmaConfig(**options, **rope(rng, options["head_dim"]), attention_bias=rng.choice([True, False]))


def gemma2_config(rng, vocabulary, eos):
    options = sizes(rng, vocabulary, eos)
    options.update(head_features(rng, options))
    options["hidden_activation"] = options.pop("hidden_act")
    if rng.random() < 0.5:
        options["layer_types"] = [rng.choice(["full_attention", "sliding_attention"]) for _ in range(options["num_hidden_layers"])]
    return transformers.Gemma2Config(
        **options, **rope(rng, options["head_dim"]), attention_bias=rng.choice([True, False]), sliding_window=window(rng),
        query_pre_attn_scalar=rng.choice([4, 16, 100]), attn_logit_softcapping=rng.choice([None, 2.0, 50.0]),
        final_logit_softcapping=rng.choice([None, 5.0, 30.0]))


def gptj_config(rng, vocabulary, eos):
    heads, features = rng.choice([1, 2, 4]), rng.choice([6, 16])
    return transformers.GPTJConfig(
        vocab_size=vocabulary, n_positions=LONGEST, n_embd=heads * features, n_head=heads, n_layer=rng.choice([1, 2, 3]),
        rotary_dim=rng.choice([2, 4, features]), n_inner=rng.choice([None, 30]), activation_function=rng.choice(ACTIVATIONS),
        layer_norm_epsilon=rng.choice([1e-5, 1e-3]), initializer_range=0.3, tie_word_embeddings=rng.choice([True, False]),
        bos_token_id=None, eos_token_id=eos)


def gpt_neo_config(rng, vocabulary, eos):
    heads = rng.choice([1, 2, 4])
    kinds = rng.choice([[[["global", "local"], 1]], [[["global"], 1], [["local"], 2]], [[["local"], 1]]])
    return transformers.GPTNeoConfig(
        vocab_size=vocabulary, max_position_embeddings=LONGEST, hidden_size=heads * rng.choice([6, 16]), num_heads=heads,
        attention_types=kinds, num_layers=sum(len(kind) * times for kind, times in kinds), window_size=window(rng),
        intermediate_size=rng.choice([None, 30]), activation_function=rng.choice(ACTIVATIONS),
        layer_norm_epsilon=rng.choice([1e-5, 1e-3]), initializer_range=0.3, tie_word_embeddings=rng.choice([True, False]),
        bos_token_id=None, eos_token_id=eos)


def opt_config(rng, vocabulary, eos):
    heads = rng.choice([1, 2, 4])
    return transformers.OPTConfig(
        vocab_size=vocabulary, max_position_embeddings=LONGEST, hidden_size=heads * rng.choice([6, 16]), num_attention_heads=heads,
        num_hidden_layers=rng.choice([1, 2, 3]), ffn_dim=rng.choice([20, 48]), do_layer_norm_before=rng.choice([True, False]),
        word_embed_proj_dim=rng.choice([None, 10]), activation_function=rng.choice(["relu", rng.choice(ACTIVATIONS)]),
        enable_bias=rng.choice([True, True, False]), layer_norm_elementwise_affine=rng.choice([True, True, False]),
        _remove_final_layer_norm=rng.choice([False, False, True]), init_std=0.3, tie_word_embeddings=rng.choice([True, False]),
        pad_token_id=rng.choice([1, PAD, None]), bos_token_id=None, eos_token_id=eos)


def falcon_config(rng, vocabulary, eos):
    heads, features = rng.choice([1, 2, 4, 6]), rng.choice([6, 16])
    options = {"new_decoder_architecture": rng.choice([True, False]), "multi_query": rng.choice([True, False]),
               "parallel_attn": rng.choice([True, True, False]), "num_kv_heads": None}
    if options["new_decoder_architecture"]:
        options.update(parallel_attn=True, num_ln_in_parallel_attn=rng.choice([None, 1, 2]),
                       num_kv_heads=rng.choice([divisor for divisor in (1, 2, 3, heads) if heads % divisor == 0]))
    return transformers.FalconConfig(
        vocab_size=vocabulary, hidden_size=heads * features, num_attention_heads=heads, num_hidden_layers=rng.choice([1, 2, 3]),
        ffn_hidden_size=rng.choice([None, 30]), alibi=rng.choice([True, False, False]), bias=rng.choice([True, False]),
        activation=rng.choice(ACTIVATIONS), layer_norm_epsilon=rng.choice([1e-5, 1e-3]), initializer_range=0.3,
        tie_word_embeddings=rng.choice([True, False]), bos_token_id=None, eos_token_id=eos, **options, **rope(rng, features))


CONFIGS = {
    "t5-v1.0": lambda *arguments: t5_config(*arguments, "v1.0"),
    "t5-v1.1": lambda *arguments: t5_config(*arguments, "v1.1"),
    "mt5": mt5_config, "umt5": umt5_config, "gpt2": gpt2_config, "llama": llama_config, "mistral": mistral_config, "qwen2": qwen2_config, "qwen3": qwen3_config,
    "gpt_neox": gpt_neox_config, "phi3": phi3_config, "gemma": gemma_config, "gemma2": gemma2_config, "gptj": gptj_config,
    "gpt_neo": gpt_neo_config, "opt": opt_config, "falcon": falcon_config,
}
FAMILIES = list(CONFIGS)
DEFAULT_TARGETS = {"umt5": ["q", "v"], "phi3": ["qkv_proj"]}  # of a LoRA adapter, where peft has none


def has_encoder(family):
    return "t5" in family


def auto_class(family):
    return transformers.AutoModelForSeq2SeqLM if has_encoder(family) else transformers.AutoModelForCausalLM


def make_model(rng, family, folder, vocabulary, eos):
    """Saves a model of random configuration and weights."""
    model = auto_class(family).from_config(CONFIGS[family](rng, vocabulary, eos))
    with torch.no_grad():  # biases and norms too, which are born as 0 and 1
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.generation_config.eos_token_id = eos
    model.save_pretrained(folder)
    rewrite_as_hub_files(rng, family, folder, model.base_model_prefix)


def rewrite_as_hub_files(rng, family, folder, base_prefix):
    """Makes the saved folder look like older ones on the hub: other dtypes, keys, names, copies and left-over tensors.
    `base_prefix` precedes the names of the tensors that the base model without a head has."""
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    if family == "t5-v1.1" or (family in ("mt5", "umt5") and rng.random() < 0.7):
        # As Google's: a head of its own, and the flag that says so.
        config["tie_word_embeddings"] = False
        config.pop("scale_decoder_outputs", None)
        tensors["lm_head.weight"] = torch.randn_like(tensors["shared.weight"])
    elif family == "t5-v1.0" and rng.random() < 0.5:
        tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"].clone()
        tensors["decoder.embed_tokens.weight"] = tensors["shared.weight"].clone()
        tensors["lm_head.weight"] = tensors["shared.weight"].clone()
        heads, buckets = config["num_heads"], config["relative_attention_num_buckets"]
        tensors["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.zeros(buckets, heads)
    elif not has_encoder(family):
        rewrite_rope(rng, family, config)
        tensors = rewrite_decoder(rng, family, base_prefix, config, tensors)
    dtype = rng.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16])
    if dtype != torch.float32:
        tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        config.pop("dtype", None)
        config["torch_dtype"] = str(dtype).removeprefix("torch.")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    if rng.random() < 0.5:
        (folder / "generation_config.json").unlink()


def rewrite_rope(rng, family, config):
    """Before v5: rope_theta and rope_scaling, beside each other, and other names for them in GPT-NeoX."""
    if "rope_parameters" not in config or rng.random() < 0.5:
        return
    parameters = config.pop("rope_parameters")
    config["rotary_emb_base" if family == "gpt_neox" else "rope_theta"] = parameters.pop("rope_theta")
    if "partial_rotary_factor" in parameters and rng.random() < 0.5:
        config["rotary_pct" if family == "gpt_neox" else "partial_rotary_factor"] = parameters.pop("partial_rotary_factor")
    kind = parameters.pop("rope_type")
    if kind == "default" and not parameters:
        config["rope_scaling"] = None
        return
    is_su = family == "phi3" and kind == "longrope" and rng.random() < 0.5
    parameters["type" if rng.random() < 0.5 else "rope_type"] = "su" if is_su else kind
    config["rope_scaling"] = parameters
    if "original_max_position_embeddings" in parameters and not is_su and rng.random() < 0.5:
        config["original_max_position_embeddings"] = parameters.pop("original_max_position_embeddings")


def rewrite_decoder(rng, family, base_prefix, config, tensors):
    if rng.random() < 0.3 and config["tie_word_embeddings"] and family != "gptj":  # as the bare base model is saved
        tensors = {name.removeprefix(base_prefix + "."): tensor for name, tensor in tensors.items()}
    names = list(tensors)
    if rng.random() < 0.5:
        masks = {"gpt2": "attn.", "gptj": "attn.", "gpt_neo": "attn.attention.", "gpt_neox": "attention."}.get(family)
        for name in {name.split(f".{masks}")[0] for name in names if masks and f".{masks}" in name}:
            tensors[f"{name}.{masks}bias"] = torch.ones(1, 1, LONGEST, LONGEST).tril()
            if rng.random() < 0.5:
                tensors[f"{name}.{masks}masked_bias"] = torch.tensor(-1e4)
        if family == "llama":
            tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(3)
    return tensors
