"""Job files mean what PyYAML reads: every key has its value, or the file is refused. No key is without an effect."""

import json
import os
import subprocess

import yaml
from conftest import BIN, setting

FILES = 250 * setting("CASES", 2)
VALUES = {
    "has_encoder": ["true", "True", "no", "off", "FALSE", '"yes"', "", "~", "1", "!!bool true"],
    "seed": ["3", "03", "+3", "0x10", "1_000", "3 # comment", "", "none", "!!str 3", "3.0", "&a 3"],
    "learning_rate": ["1e-4", "0.001", ".5", "1.e-3", "", "nan", "~"],
    "output_dir": ["out", "'none'", "none", "null", "~", "", "a b", "a #b", "a#b", '"~"', "'it''s'", "[a]", "{a: b}", "!x out", "./~"],
    "logging_dir": ["log", "none", "null", "~", "", "None", "*a"],
    "model_max_length": ["none", "64", "", "null", "064"],
    "training_datasets": ["[a, b]", "[]", "a", "\n- a\n- b", "[a, ~]", "[a, , b]", "none", "", "[[a]]", "['a, b', c]", "[!x a]"],
    "prompt_template": ["\"Q: {model_input}\\nA: \"", "'Q: {model_input}\\n'", "Q {model_input}", "|\n  a {model_input}\n  b", "{a}", ">\n  a\n  {b}"],
    "evaluation_strategy": ["no", "epoch", "'no'", "false"],
    "deduplicate": ["on", "Off", "y", ""],
    "typo": ["1"],
    "<<": ["{seed: 5}"],
}  # fmt: skip
LINES = ["---", "...", "# comment", "", "%YAML 1.1", "---\nseed: 7", "\t"]


class LoaderOfOnce(yaml.SafeLoader):
    """Refuses keys that are given twice, which PyYAML reads in part."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), "a key is given twice"
        return super().construct_mapping(node, deep)


def draw_file(rng):
    keys = ["pretrained_model_name", "has_encoder"] + rng.choices(list(VALUES), k=rng.randrange(0, 5), weights=[2] * 10 + [0.3] * 2)
    if rng.random() < 0.8:
        keys = list(dict.fromkeys(keys))
    lines = [f"{key}: {'m' if key == 'pretrained_model_name' else rng.choice(VALUES[key])}" for key in keys]
    if rng.random() < 0.6:  # mostly well formed
        lines[1] = "has_encoder: true"
    for _ in range(rng.choice([0, 0, 0, 1])):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(LINES))
    return rng.choice(["", "\ufeff"]) + "\n".join(lines) + rng.choice(["", "\n"])


def same(key, wanted, found):
    """Whether a key has the value that PyYAML read. `found` is in the notation of a job file."""
    if wanted is None or wanted in ("none", "None"):
        return found in ("none", "[]")
    if key == "evaluation_strategy":
        return found == json.dumps("no" if wanted is False else wanted)
    if key == "training_datasets":
        return json.loads(found) == (wanted if isinstance(wanted, list) else [wanted])
    if isinstance(wanted, bool) or key == "has_encoder":
        return found == ("true" if wanted in (True, "yes") else "false")
    if key in ("seed", "learning_rate", "model_max_length"):
        return float(found) == float(wanted)
    text = str(wanted) if isinstance(wanted, int) else wanted  # a text may be spelled as a number
    return json.loads(found) == (os.path.expanduser(text) if key == "output_dir" else text)


def test_random_job_files_mean_what_pyyaml_reads(rng):
    texts = [draw_file(rng) for _ in range(FILES)]
    requests = "".join(json.dumps({"text": text, "overrides": []}) + "\n" for text in texts)
    result = subprocess.run([BIN / "job_probe"], input=requests, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    read = 0
    for text, line in zip(texts, result.stdout.splitlines(), strict=True):
        values = json.loads(line).get("values")
        if values is None:
            continue
        read += 1
        wanted = yaml.load(text.replace("\t", ""), LoaderOfOnce)  # it refuses a line that is only a tab
        for key, value in wanted.items():
            quoted_none = key == "output_dir" and value == "none"
            assert json.loads(values[key]) == "none" if quoted_none else same(key, value, values[key]), (text, key, values[key])
    assert FILES // 5 < read < 4 * FILES // 5
