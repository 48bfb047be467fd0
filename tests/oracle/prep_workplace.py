"""A place for lockstep-prep to run in, and what its oracles share."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BIN

PREP = BIN / "lockstep-prep"
FIXTURES = Path(__file__).parents[1] / "fixtures"
CONFIGS = {
    "t5": {"model_type": "t5", "vocab_size": 32128, "is_encoder_decoder": True, "n_positions": 512},
    "gpt2": {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024},
}


def read_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=random.random() < 0.5) + "\n" for row in rows))
    return path


def make_rows(inputs, outputs):
    return [{"model_input": i, "model_output": o} for i, o in zip(inputs, outputs)]


def make_model(folder, kind, **config):
    shutil.copytree(FIXTURES / "tokenizers" / kind, folder)
    (folder / "config.json").write_text(json.dumps(CONFIGS[kind] | config))
    return folder


@pytest.fixture(params=["t5", "gpt2"])
def kind(request):
    return request.param


class Workplace:
    """A folder with a model and rows, and a job over them."""

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        self.model = make_model(folder / kind, kind)
        self.rows = write_rows(folder / "rows.jsonl", read_rows(FIXTURES / "data/nl2bash/train.jsonl"))
        self.prepared = folder / "prepared"

    def job(self, **keys):
        keys = {
            "pretrained_model_name": str(self.model),
            "has_encoder": self.kind == "t5",
            "training_datasets": [str(self.rows)],
            "prepared_dir": str(self.prepared),
            "model_max_length": 128,
        } | keys
        path = self.folder / "job.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items() if value is not None))
        return path

    def prep(self, *overrides, **keys):
        return subprocess.run([PREP, self.job(**keys), *overrides], capture_output=True, text=True, timeout=120)

    def succeed(self, *overrides, **keys):
        result = self.prep(*overrides, **keys)
        assert result.returncode == 0, result.stderr
        return result

    def fail(self, *expected, keys=None, overrides=()):
        result = self.prep(*overrides, **(keys or {}))
        errors = [line for line in result.stderr.splitlines() if line.startswith("lockstep-prep: error: ")]
        assert result.returncode == 1 and len(errors) == 1, result.stderr
        for text in expected:
            assert text in errors[0]
        return result


@pytest.fixture
def workplace(tmp_path, kind):
    return Workplace(tmp_path, kind)


@pytest.fixture
def t5(tmp_path):
    return Workplace(tmp_path, "t5")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())
