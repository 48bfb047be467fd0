"""gradient_checkpointing: the same bits with it and without, among ranks, and less memory."""

import random

import pytest
import torch
import transformers
from conftest import example_rows, random_model, run, setting
from memory import peak_of_training
from safetensors.torch import load_file
from training_workplace import step_losses, write_job

KINDS = ["t5-v1.0", "t5-v1.1", "gpt2", "llama"]
CASES = setting("CASES", 1)
SHARDINGS = ["none", "state", "state_and_gradients", "full"]


@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_layers_change_no_bit(kind, seed, tmp_path):
    """With dropout, an adapter's too, and noise on the embeddings."""
    rng = random.Random(seed)
    has_encoder = kind.startswith("t5")
    random_model(kind, tmp_path / "model", seed, **({"dropout_rate": 0.1} if has_encoder else {}))
    job = write_job(tmp_path, tmp_path / "model", example_rows("t5" if has_encoder else "gpt2", 20, seed), has_encoder,
                    max_steps=5, global_batch_size=8, per_device_train_batch_size=3, learning_rate=1e-3, neftune_noise_alpha=5)
    run("lockstep-prep", job)
    lora = ["peft_type=lora", "lora_dropout=0.2", "learning_rate=1e-2"]
    for ranks, sharding, keys in [(None, "state", []), (2, rng.choice(SHARDINGS[:3]), []), (2, "full", []), (2, "full", lora)]:
        results = []
        for recomputes in ("false", "true"):
            output = tmp_path / f"{ranks}-{sharding}-{len(keys)}-{recomputes}"
            run("lockstep", "train", job, f"output_dir={output}", f"optimizer_sharding={sharding}",
                f"gradient_checkpointing={recomputes}", *keys, ranks=ranks, OMP_NUM_THREADS="1")
            weights = load_file(output / ("adapter_model.safetensors" if keys else "model.safetensors"))
            results.append((step_losses(output), weights))
        (losses, weights), (found, recomputed) = results
        assert found == losses, (ranks, sharding, keys)
        assert all(torch.equal(recomputed[name], tensor) for name, tensor in weights.items()), (ranks, sharding, keys)


def test_memory_is_that_of_a_layer(tmp_path):
    random_model("gpt2", tmp_path / "model", 1)
    config = transformers.GPT2Config.from_pretrained(tmp_path / "model", n_embd=128, n_head=4, n_layer=12, n_inner=512)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    job = write_job(tmp_path, tmp_path / "model", example_rows("gpt2", 192, 1), False, max_steps=100_000, global_batch_size=192)
    run("lockstep-prep", job)
    peaks = {}
    # No memory has room for what a micro-batch may have where it is `auto`.
    for recomputes, tokens in [("false", 100_000), ("true", 100_000), ("auto", 1 << 40)]:
        peaks[recomputes] = peak_of_training(job, tmp_path / recomputes, 1, "state", f"gradient_checkpointing={recomputes}",
                                             f"max_tokens_per_micro_batch={tokens}")
    print({key: f"{peak / 1e6:.0f} MB" for key, peak in peaks.items()})
    assert max(peaks["true"], peaks["auto"]) < 0.6 * peaks["false"]
