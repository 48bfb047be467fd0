"""A hub of one small model, and a client of it, for the oracles of the hub."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BIN, run
from hub_server import Hub, git_blob_id
from prep_workplace import CONFIGS, FIXTURES

NAME = "org/little-t5"
FOLDER = "models--org--little-t5"
CONFIG = json.dumps(CONFIGS["t5"]).encode()
SPIECE = (FIXTURES / "tokenizers/t5/spiece.model").read_bytes()
# What no T5 needs, and what is not read. No request may ask for it.
NEVER = ["README.md", ".gitattributes", "flax_model.msgpack", "tf_model.h5", "rust_model.ot", "model.fp16.safetensors",
         "onnx/model.onnx", "original/consolidated.00.pth", "t5.gguf", "training_args.bin"]  # fmt: skip


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub
        assert hub.problems == []


def files(weights=b"weights", **more):
    return {
        "config.json": CONFIG,
        "generation_config.json": b"{}",
        "spiece.model": SPIECE,
        "tokenizer_config.json": b'{"tokenizer_class": "T5Tokenizer"}',
        "model.safetensors": weights,
        "pytorch_model.bin": b"the same once more",
    } | {name: b"never asked for" for name in NEVER} | more  # fmt: skip


LFS = ("model.safetensors", "pytorch_model.bin", "spiece.model", "flax_model.msgpack", "tf_model.h5")
NEEDED = {"config.json", "generation_config.json", "spiece.model", "tokenizer_config.json", "model.safetensors"}


@pytest.fixture
def client(hub, tmp_path):
    return Client(hub, tmp_path)


class Client:
    """lockstep-prep as it finds one cache and one hub."""

    def __init__(self, hub, folder):
        self.hub, self.home = hub, folder / "home"
        self.cache = self.home / "hub"
        self.environment = {
            "HF_HOME": str(self.home), "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1",
        }  # fmt: skip

    def variables(self, **environment):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_", "XDG_"))}
        return kept | self.environment | environment

    def start(self, *arguments, **environment):
        return subprocess.Popen([BIN / "lockstep-prep", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.variables(**environment))  # fmt: skip

    def run(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        out, err = process.communicate(input="", timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def download(self, name=NAME, **environment):
        """The folder that `lockstep-prep download` prints."""
        result = self.run("download", name, **environment)
        assert result.returncode == 0, result.stderr
        return Path(result.stdout.strip()), result.stderr

    def refused(self, *expected, name=NAME, **environment):
        result = self.run("download", name, **environment)
        errors = [line for line in result.stderr.splitlines() if line.startswith("lockstep-prep: error: ")]
        assert result.returncode == 1 and len(errors) == 1, result.stderr
        for text in expected:
            assert text in errors[0]
        return result

    def python(self, code, **environment):
        """What `code` prints, run by a Python of its own, since huggingface_hub reads the environment once."""
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                                env=self.variables(**environment))  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def bodies(hub, pattern=""):
    """The GET requests for files that brought bytes of them."""
    return [r for r in hub.asked(f"GET .*{pattern}") if r.sent and "/api/" not in r.path]


def check_cache(client):
    """What must hold of the cache at any moment."""
    for blob in client.cache.glob("*/blobs/*"):
        if blob.suffix == ".incomplete":
            continue
        content = blob.read_bytes()
        assert blob.name in (hashlib.sha256(content).hexdigest(), git_blob_id(content))
    for pointer in client.cache.glob("*/snapshots/*/*"):
        assert pointer.is_symlink() and pointer.exists()
    for model in client.cache.glob("models--*"):
        for ref in model.glob("refs/**/*"):
            if ref.is_file():
                assert NEEDED <= {path.name for path in (model / "snapshots" / ref.read_text()).iterdir()}
