"""lockstep-prep against sentencepiece, tokenizers and h5py; its bad-input table; what a killed run leaves."""

import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import h5py
import pytest
import sentencepiece
from transformers import AutoTokenizer

PREP = Path(os.environ["LOCKSTEP_BIN"]) / "lockstep-prep"
FIXTURES = Path(__file__).parents[1] / "fixtures"
CONFIGS = {
    "t5": {"model_type": "t5", "vocab_size": 32128, "is_encoder_decoder": True, "n_positions": 512},
    "gpt2": {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024},
}
HOSTILE = [
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "日本語のテキスト、汉字與漢字 한국어",
    "combining e\u0301 a\u0308\u0323 Z\u0351\u036b\u0343 \u1e9b\u0323",
    "control \x01\x02\x07\x0b\x0c\x1b[31m\x7f\x85 zero\u200bwidth \ufeff bom",
    "x" * 5000,
    "word" * 700 + " " + "1234567890" * 300,
    " ",
    "   \t\n  ",
    "  leading and trailing  ",
    "tabs\tand\nnewlines\r\n\r\n",
    "\u00a0\u2003\u3000 wide blanks",
    "ﬁ ligature ½ ① ™ ﷺ",
    "I'll they've you'd it's 'quoted' ''",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010ffff \ue000",
    "ру́сский עברית العربية हिन्दी ไทย",
]


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


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def read_shards(folder):
    """The examples as (input ids, target ids), read with h5py alone."""
    examples = []
    manifest = manifest_of(folder)
    for i, entry in enumerate(manifest["shards"]):
        assert entry["name"] == f"shard-{i:05}-of-{len(manifest['shards']):05}.h5"
        bytes_ = (folder / entry["name"]).read_bytes()
        assert (hashlib.sha256(bytes_).hexdigest(), len(bytes_)) == (entry["sha256"], entry["bytes"])
        with h5py.File(folder / entry["name"], "r") as shard:
            arrays = {name: shard[name][:].tolist() for name in list_arrays(shard)}
            assert all(shard[name].fletcher32 and shard[name].chunks for name in arrays)
            ids = "source/ids" if manifest["has_encoder"] else "sequence/ids"
            assert shard[ids].dtype == manifest["ids_type"]
        examples += split_encoder(arrays) if manifest["has_encoder"] else split_decoder(arrays)
    return examples


def list_arrays(shard):
    names = []
    shard.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def slices(block):
    ids, offsets = block
    return [ids[a:b] for a, b in zip(offsets, offsets[1:])]


def split_encoder(arrays):
    source, target = ((arrays[f"{name}/ids"], arrays[f"{name}/offsets"]) for name in ("source", "target"))
    return list(zip(slices(source), slices(target)))


def split_decoder(arrays):
    sequences = slices((arrays["sequence/ids"], arrays["sequence/offsets"]))
    return [(ids[:start], ids[start:]) for ids, start in zip(sequences, arrays["target_start"])]


class Reference:
    """What the examples must be, by other implementations."""

    def __init__(self, kind):
        self.kind = kind
        if kind == "t5":
            model = sentencepiece.SentencePieceProcessor(str(FIXTURES / "tokenizers/t5/spiece.model"))
            self.encode, self.eos = model.encode, 1
        else:
            tokenizer = AutoTokenizer.from_pretrained(make_model_once("gpt2"))
            self.encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
            self.eos = tokenizer.eos_token_id

    def example(self, row, limit):
        """(input, target), whether the input was cut, whether the target was."""
        source, answer = self.encode(row["model_input"]), self.encode(row["model_output"])
        if self.kind == "t5":
            keep = limit - 1 if limit else max(len(source), len(answer))
            return (source[:keep] + [1], answer[:keep] + [1]), len(source) > keep, len(answer) > keep
        target = (answer + [self.eos])[:limit]
        room = limit - len(target) if limit else len(source)
        kept = source[len(source) - room :] if room < len(source) else source
        return (kept, target), len(kept) < len(source), len(target) < len(answer) + 1


_folders = {}


def make_model_once(kind):
    if kind not in _folders:
        import tempfile

        _folders[kind] = make_model(Path(tempfile.mkdtemp()) / kind, kind)
    return _folders[kind]


@pytest.fixture(scope="session", autouse=True)
def clean_models():
    yield
    for folder in _folders.values():
        shutil.rmtree(folder.parent)


def check(workplace, rows, limit):
    result = workplace.succeed(model_max_length=limit)
    effective = manifest_of(workplace.prepared / "train")["model_max_length"]
    if limit:
        assert effective == limit
    examples = read_shards(workplace.prepared / "train")
    reference = Reference(workplace.kind)
    expected = [reference.example(row, effective) for row in rows]
    assert len(examples) == len(rows)
    for row, example, (wanted, _, _) in zip(rows, examples, expected):
        assert example == wanted, row
    counts = manifest_of(workplace.prepared / "train")["counts"]
    truncated = [sum(1 for e in expected if e[part]) for part in (1, 2)]
    assert counts == {
        "rows": len(rows),
        "examples": len(rows),
        "input_tokens": sum(len(e[0]) for e in examples),
        "target_tokens": sum(len(e[1]) for e in examples),
        "truncated_inputs": truncated[0],
        "truncated_targets": truncated[1],
        "empty_outputs": counts["empty_outputs"],
        "dropped": {},
    }
    for count, phrase in zip(truncated, ("inputs were cut", "outputs were too long")):
        assert result.stderr.count(phrase) == (1 if count else 0)
        assert not count or f"{count} of {len(rows)} {phrase}" in result.stderr
    return result


@pytest.mark.parametrize("limit", [None, 2, 24, 100])
@pytest.mark.parametrize("name", ["gsm8k", "nl2bash", "scan"])
def test_ids_and_truncation(workplace, name, limit):
    rows = read_rows(FIXTURES / "data" / name / "train.jsonl")
    shutil.copy(FIXTURES / "data" / name / "train.jsonl", workplace.rows)
    check(workplace, rows, limit)


def test_hostile_text(workplace):
    rows = make_rows(HOSTILE, HOSTILE[::-1])
    write_rows(workplace.rows, rows)
    check(workplace, rows, 1000)


def test_random_text(workplace):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    ranges = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x400, 0x4FF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
              (0x1F300, 0x1FAFF), (0x2000, 0x206F), (0x9, 0xD), (0xFB00, 0xFDFF)]  # fmt: skip

    def text():
        span = rng.choice(ranges)
        return "a" + "".join(chr(rng.randint(*rng.choice([span, ranges[0]]))) for _ in range(rng.randint(0, 60)))

    rows = make_rows([text() for _ in range(300)], [text() for _ in range(300)])
    write_rows(workplace.rows, rows)
    check(workplace, rows, rng.choice([None, 8, 40]))


def test_csv_gives_the_same_shards(t5):
    rows = read_rows(FIXTURES / "data/gsm8k/train.jsonl") + make_rows(["a,\"b\"\n\nc"], ["\r\nend, "])
    write_rows(t5.rows, rows)
    t5.succeed()
    expected = read_shards(t5.prepared / "train")
    path = t5.folder / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["other", "model_output", "model_input"])
        writer.writeheader()
        writer.writerows(row | {"other": i} for i, row in enumerate(rows))
    t5.succeed(training_datasets=[str(path)], prepared_dir=str(t5.folder / "from_csv"))
    assert read_shards(t5.folder / "from_csv" / "train") == expected


def test_a_list_of_files_is_one_set(t5):
    paths = [FIXTURES / f"data/{name}/train.jsonl" for name in ("scan", "nl2bash")]
    t5.succeed(training_datasets=[str(p) for p in paths])
    sources = manifest_of(t5.prepared / "train")["sources"]
    assert [s["rows"] for s in sources] == [300, 300]
    assert [s["sha256"] for s in sources] == [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths]
    reference = Reference("t5")
    rows = [row for path in paths for row in read_rows(path)]
    assert read_shards(t5.prepared / "train") == [reference.example(row, 128)[0] for row in rows]


def test_manifest(workplace):
    workplace.succeed(model_max_length=40)
    manifest = manifest_of(workplace.prepared / "train")
    examples = read_shards(workplace.prepared / "train")
    lengths = {
        "input": [len(i) for i, _ in examples],
        "target": [len(t) for _, t in examples],
        "total": [len(i) + len(t) for i, t in examples],
    }
    assert manifest["max_lengths"] == {name: max(values) for name, values in lengths.items()}
    for name, values in lengths.items():
        assert manifest["length_histogram"][name] == {str(n): values.count(n) for n in sorted(set(values))}
    assert manifest["format_version"] == 1 and manifest["has_encoder"] == (workplace.kind == "t5")
    assert manifest["vocabulary_size"] == CONFIGS[workplace.kind]["vocab_size"]
    with h5py.File(workplace.prepared / "train" / manifest["shards"][0]["name"], "r") as shard:
        assert shard.attrs["tokenizer_sha256"].decode() == manifest["tokenizer_sha256"]
        assert shard.attrs["examples"] == 300


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_bytes_do_not_depend_on_the_number_of_workers(workplace):
    rows = [row for name in ("gsm8k", "nl2bash", "scan") for row in read_rows(FIXTURES / f"data/{name}/train.jsonl")]
    random.shuffle(rows)
    write_rows(workplace.rows, rows * 3)
    written = []
    for workers in (1, 2, 9):
        workplace.succeed(num_workers=workers)
        written.append(contents(workplace.prepared))
        shutil.rmtree(workplace.prepared)
    assert written[0] == written[1] == written[2]


def test_second_run_does_nothing(t5):
    t5.succeed(validation_datasets=[str(FIXTURES / "data/scan/train.jsonl")])
    before = {p: p.stat() for p in t5.prepared.rglob("*")}
    result = t5.succeed(validation_datasets=[str(FIXTURES / "data/scan/train.jsonl")])
    assert result.stdout.count("already prepared") == 2
    assert {p: (s.st_mtime_ns, s.st_ino) for p, s in before.items()} == {
        p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in t5.prepared.rglob("*")
    }


@pytest.mark.parametrize("change", ["limit", "rows", "tokenizer", "validation", "foreign", "damaged"])
def test_other_data_is_replaced_only_on_demand(t5, change):
    scan = [str(FIXTURES / "data/scan/train.jsonl")]
    t5.succeed(validation_datasets=scan if change == "validation" else None)
    keys = {}
    if change == "limit":
        keys = {"model_max_length": 64}
    elif change == "rows":
        write_rows(t5.rows, read_rows(t5.rows)[:-1])
    elif change == "tokenizer":
        t5.model = make_model(t5.folder / "other", "t5")
        model = bytearray((t5.model / "spiece.model").read_bytes())
        model += b"\x12\x00"  # a second, empty trainer_spec: the same model in other bytes
        (t5.model / "spiece.model").write_bytes(model)
    elif change == "foreign":
        shutil.rmtree(t5.prepared)
        (t5.prepared / "train").mkdir(parents=True)
        (t5.prepared / "train" / "notes.txt").write_text("mine")
    elif change == "damaged":
        shard = t5.prepared / "train" / "shard-00000-of-00001.h5"
        shard.write_bytes(shard.read_bytes()[:-1])
    before = contents(t5.prepared)
    t5.fail("overwrite_output_dir: true", keys=keys)
    assert contents(t5.prepared) == before
    t5.succeed("overwrite_output_dir=true", **keys)
    fresh = t5.folder / "fresh"
    t5.succeed(**keys | {"prepared_dir": str(fresh)})
    assert contents(t5.prepared / "train") == contents(fresh / "train")
    kept = {"train.old-1/notes.txt": b"mine"} if change == "foreign" else {}
    assert {k: v for k, v in contents(t5.prepared).items() if not k.startswith("train/")} == kept


def test_summary_and_decoded_examples(workplace):
    write_rows(workplace.rows, make_rows(["list all files", "b", "c", ""], ["ls -a", "d", "", ""]))
    result = workplace.succeed()
    eos = "</s>" if workplace.kind == "t5" else "<|endoftext|>"
    assert f"«ls -a{eos}»" in result.stdout and f"«d{eos}»" in result.stdout
    assert "list all files" in result.stdout
    for text in (r"rows +4 in 1 file", r"examples +3\n", r"empty outputs +1", r"dropped +1 ", r"1 x neither input nor",
                 r"p50 +p90 +p99 +max"):  # fmt: skip
        assert re.search(text, result.stdout), text
    assert result.stderr.count("1 of 3 outputs are empty") == 1
    assert result.stderr.count("1 of 4 rows were dropped") == 1


def test_length_limit_warnings(tmp_path):
    gpt = Workplace(tmp_path, "gpt2")
    result = gpt.succeed(model_max_length=5000)
    assert result.stderr.count("warning") == 1 and "1024" in result.stderr
    assert manifest_of(gpt.prepared / "train")["model_max_length"] == 1024
    result = gpt.succeed(model_max_length=None)
    assert result.stderr.count("warning") == 1 and "preferable" in result.stderr


def good_row():
    return '{"model_input": "a", "model_output": "b"}\n'


BAD_ROWS = {
    "missing column": (good_row() + '{"model_input": "a", "output": "b"}\n', ["line 2", '"model_output"', '"output"']),
    "malformed": (good_row() * 2 + '{"model_input": "a", "model_output": "b"\n', ["line 3", "malformed JSON", "byte"]),
    "null cell": (good_row() + '{"model_input": null, "model_output": "b"}\n', ["line 2", '"model_input"', "null"]),
    "nested": ('{"model_input": {"a": 1}, "model_output": "b"}\n', ["line 1", '"model_input"', "object"]),
    "invalid UTF-8": (good_row().encode() + b'{"model_input": "\xff", "model_output": "b"}\n', ["line 2", "UTF-8"]),
    "empty": ("", ["at least one row"]),
    "blank": ("\n\n", ["at least one row"]),
    "only empty rows": ('{"model_input": "", "model_output": ""}\n', ["at least one example"]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named(t5, case):
    rows, expected = BAD_ROWS[case]
    t5.succeed()
    before = contents(t5.prepared)
    t5.rows.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    t5.fail("rows.jsonl" if "rows" not in case else "training", *expected, overrides=["overwrite_output_dir=true"])
    assert contents(t5.prepared) == before
    assert sorted(p.name for p in t5.prepared.iterdir()) == ["train"]


def test_bad_csv_is_named(t5):
    path = t5.folder / "rows.csv"
    for text, expected in (
        ("model_input,output\na,b\n", ['"model_output"', '"output"']),
        ("model_input,model_output\na,b\nc,\n", ["row 2", '"model_output"']),
        ("model_input,model_output\na,b\nc,d,e\n", ["row 2", "Expected 2 columns"]),
        ("", ["empty file"]),
        ("model_input,model_output\n", ["at least one row"]),
    ):
        path.write_text(text)
        t5.fail("rows.csv", *expected, keys={"training_datasets": [str(path)]})
    assert not (t5.prepared / "train").exists()


def test_bad_jobs_and_models_are_named(t5):
    def with_config(**config):
        shutil.rmtree(t5.folder / "changed", ignore_errors=True)
        return {"pretrained_model_name": str(make_model(t5.folder / "changed", "t5", **config))}

    t5.fail("nowhere.jsonl", keys={"training_datasets": ["nowhere.jsonl"]})
    t5.fail("rows.txt", ".jsonl", ".csv", keys={"training_datasets": [str(shutil.copy(t5.rows, t5.folder / "rows.txt"))]})
    t5.fail("training_datasets", keys={"training_datasets": None})
    t5.fail("no/such/model", keys={"pretrained_model_name": "no/such/model"})
    t5.fail("config.json", keys={"pretrained_model_name": str(FIXTURES)})
    t5.fail("model_type", "bert", "t5", "gpt2", keys=with_config(model_type="bert"))
    t5.fail("32000", "100", keys=with_config(vocab_size=100))
    t5.fail("has_encoder: true", overrides=["has_encoder=false"])
    t5.fail("model_max_lenght", "model_max_length", overrides=["model_max_lenght=12"])
    t5.fail("model_max_length", overrides=["model_max_length=many"])
    t5.fail("model_max_length", overrides=["model_max_length=1"])
    assert not (t5.prepared / "train").exists()


def test_added_token_beyond_the_embedding_is_named_by_row(t5):
    write_rows(t5.rows, make_rows(["plain", "with <extra_id_0>"], ["a", "b"]))
    model = make_model(t5.folder / "small", "t5", vocab_size=32000)
    t5.fail("line 2", "<extra_id_0>", "32099", "32000", keys={"pretrained_model_name": str(model)})


def big_job(workplace):
    rows = [row for name in ("gsm8k", "nl2bash", "scan") for row in read_rows(FIXTURES / f"data/{name}/train.jsonl")]
    write_rows(workplace.rows, rows * 40)


def test_a_killed_run_leaves_the_old_set(t5):
    t5.succeed()
    before = contents(t5.prepared)
    big_job(t5)
    job = t5.job(overwrite_output_dir=True)
    started = time.monotonic()
    assert subprocess.run([PREP, job], capture_output=True).returncode == 0
    duration = time.monotonic() - started
    after = contents(t5.prepared)
    for i in range(12):
        shutil.rmtree(t5.prepared)
        (t5.prepared / "train").mkdir(parents=True)
        for name, bytes_ in before.items():
            (t5.prepared / name).write_bytes(bytes_)
        with subprocess.Popen([PREP, job], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(duration * (i + 1) / 11)
            process.send_signal(signal.SIGKILL)
        visible = {k: v for k, v in contents(t5.prepared).items() if not k.startswith(".")}
        assert visible in (before, after)
    assert subprocess.run([PREP, job], capture_output=True).returncode == 0
    assert contents(t5.prepared) == after
    assert sorted(p.name for p in t5.prepared.iterdir()) == ["train"]


def test_full_disk_leaves_the_old_set(t5):
    disk = t5.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        t5.succeed(prepared_dir=str(disk))
        before = contents(disk)
        big_job(t5)
        t5.fail("No space left", str(disk), keys={"prepared_dir": str(disk), "overwrite_output_dir": True})
        assert contents(disk) == before
    finally:
        subprocess.run(["umount", disk], check=True)


def test_help_version_and_libraries():
    help_ = subprocess.run([PREP, "--help"], capture_output=True, text=True, check=True).stdout
    for key in ("pretrained_model_name", "has_encoder", "model_max_length", "training_datasets", "validation_datasets",
                "prepared_dir", "num_workers", "overwrite_output_dir", "--version"):  # fmt: skip
        assert key in help_
    assert "HDF5" in subprocess.run([PREP, "--version"], capture_output=True, text=True, check=True).stdout
    wrong = subprocess.run([PREP], capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.startswith("lockstep-prep: error: ")
    libraries = subprocess.run(["ldd", PREP], capture_output=True, text=True, check=True).stdout
    assert "libhdf5" in libraries
    for unwanted in ("libtorch", "libc10", "libcuda", "libmpi"):
        assert unwanted not in libraries
