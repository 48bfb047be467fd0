"""lockstep-prep verify, inspect and tokenize against h5py, numpy, tokenizers and sentencepiece; the report's counts."""

import collections
import json
import re
import shutil
import subprocess

import h5py
import numpy
import pytest
import sentencepiece
from conftest import run
from prep_workplace import FIXTURES, PREP, Workplace, contents, make_rows, manifest_of, read_rows, write_rows
from prep_workplace import kind, t5, workplace  # noqa: F401
from tokenizers import ByteLevelBPETokenizer

SHARDED = {"shard_text_bytes": 20_000}


def command(*arguments, **options):
    return subprocess.run([PREP, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def verify(folder):
    return command("verify", folder)


def flip(path, rng):
    bytes_ = bytearray(path.read_bytes())
    bytes_[rng.randrange(len(bytes_))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes_)


def rewrite_manifest(folder, edit):
    manifest = manifest_of(folder)
    edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def shard_entry(folder, shard):
    """The manifest's words for a shard as it is now."""
    import hashlib

    bytes_ = (folder / shard).read_bytes()
    return {"sha256": hashlib.sha256(bytes_).hexdigest(), "bytes": len(bytes_)}


def test_verify_finds_every_flipped_byte(workplace, rng):
    workplace.succeed(validation_datasets=[str(FIXTURES / "data/scan/train.jsonl")], **SHARDED)
    result = verify(workplace.prepared)
    assert result.returncode == 0 and len(result.stdout.splitlines()) == 2 and not result.stderr
    before = contents(workplace.prepared)
    shards = [p for p in workplace.prepared.rglob("*.h5")]
    for _ in range(20):
        damaged = rng.sample(shards, rng.randint(1, min(3, len(shards))))
        for shard in damaged:
            flip(shard, rng)
        result = verify(workplace.prepared)
        assert result.returncode == 1
        assert len(result.stdout.splitlines()) == 2
        for shard in shards:
            assert (str(shard) in result.stderr) == (shard in damaged)
        for name, bytes_ in before.items():
            (workplace.prepared / name).write_bytes(bytes_)
    assert verify(workplace.prepared / "validation").returncode == 0
    shards[0].unlink()
    assert verify(workplace.prepared).returncode == 1


def test_verify_looks_behind_the_checksum(t5, rng):
    """A shard whose sha256 agrees may still hold nonsense."""
    t5.succeed(**SHARDED)
    train = t5.prepared / "train"
    before = contents(train)
    manifest = manifest_of(train)
    number = rng.randrange(len(manifest["shards"]))
    shard = train / manifest["shards"][number]["name"]

    def beyond(file):
        file["source/ids"][rng.randrange(len(file["source/ids"]))] = rng.randrange(32128, 65536)

    def descending(file):
        i = rng.randrange(1, len(file["target/offsets"]) - 1)
        file["target/offsets"][i] = file["target/offsets"][-1] + 1

    def shorter(file):
        ids = file["target/ids"][:-1]
        del file["target/ids"]
        file.create_dataset("target/ids", data=ids, chunks=True, fletcher32=True)

    for damage, phrase in ((beyond, "below the vocabulary"), (descending, "ascending offsets"), (shorter, "ids")):
        with h5py.File(shard, "r+") as file:
            damage(file)
        rewrite_manifest(train, lambda m: m["shards"][number].update(shard_entry(train, shard.name)))
        result = verify(train)
        assert result.returncode == 1 and str(shard) in result.stderr and phrase in result.stderr
        for name, bytes_ in before.items():
            (train / name).write_bytes(bytes_)
    for key in ("examples", "input_tokens", "target_tokens"):
        rewrite_manifest(train, lambda m: m["counts"].update({key: m["counts"][key] + 1}))
        result = verify(train)
        assert result.returncode == 1 and key in result.stderr
        (train / "manifest.json").write_bytes(before["manifest.json"])
    rewrite_manifest(train, lambda m: m["length_histogram"]["input"].update({"9999": 1}))
    assert "length_histogram" in verify(train).stderr
    assert verify(t5.folder / "nowhere").returncode == 1


def test_train_refuses_a_flipped_byte(tmp_path, rng):
    from conftest import random_model

    place = Workplace(tmp_path, "t5")
    place.model = tmp_path / "model"
    random_model("t5-v1.0", place.model, 1)
    place.succeed(**SHARDED)
    flip(rng.choice(sorted((place.prepared / "train").glob("*.h5"))), rng)
    result = run("lockstep", "train", place.job(output_dir=str(tmp_path / "result")), "num_train_epochs=1", check=False)
    assert result.returncode != 0 and "sha256" in result.stderr and "run lockstep-prep again" in result.stderr


def test_inspect_draws_the_lengths(workplace, rng):
    workplace.succeed(**SHARDED)
    train = workplace.prepared / "train"
    lengths = collections.defaultdict(list)
    for entry in manifest_of(train)["shards"]:
        with h5py.File(train / entry["name"], "r") as shard:
            if workplace.kind == "t5":
                lengths["input"] += numpy.diff(shard["source/offsets"][:]).tolist()
                lengths["target"] += numpy.diff(shard["target/offsets"][:]).tolist()
            else:
                starts = shard["target_start"][:].astype(int)
                lengths["input"] += starts.tolist()
                lengths["target"] += (numpy.diff(shard["sequence/offsets"][:].astype(int)) - starts).tolist()
    lengths["total"] = [a + b for a, b in zip(lengths["input"], lengths["target"])]
    shown = command("inspect", workplace.prepared).stdout
    for name, values in lengths.items():
        bars = re.search(f"{name} lengths.*\n((?:  .*\n)+)", shown)[1].splitlines()
        counted = [re.match(r" +(\d+)(?:-(\d+))? +(\d+) (█*)$", bar).groups() for bar in bars]
        edges = [int(first) for first, *_ in counted] + [int(counted[-1][1] or counted[-1][0]) + 1]
        assert [int(c) for *_, c, _ in counted] == numpy.histogram(values, edges)[0].tolist()
        assert max(len(bar) for *_, bar in counted) == 40
        assert all(bool(bar) == (int(count) > 0) for *_, count, bar in counted)


def test_inspect_shows_a_row(workplace, rng):
    rows = [row for row in read_rows(FIXTURES / "data/scan/train.jsonl")]
    write_rows(workplace.rows, rows)
    workplace.succeed(model_max_length=1000, **SHARDED)
    for number in rng.sample(range(1, len(rows) + 1), 5):
        shown = command("inspect", workplace.prepared, "--row", number)
        assert shown.returncode == 0 and f"example {number} " in shown.stdout
        label = re.search("«(.*)»\ninput ids", shown.stdout)[1]
        assert label in (rows[number - 1]["model_output"] + eos for eos in ("</s>", "<|endoftext|>"))
        assert rows[number - 1]["model_input"] in shown.stdout
    assert "expected 1 to 300" in command("inspect", workplace.prepared, "--row", 301).stderr
    assert command("inspect", workplace.prepared, "--examples", 7).stdout.count("the label between") == 7
    other = "t5" if workplace.kind == "gpt2" else "gpt2"
    wrong = command("inspect", workplace.prepared, "--tokenizer", FIXTURES / "tokenizers" / other)
    assert wrong.returncode == 1 and "--tokenizer" in wrong.stderr
    moved = shutil.move(workplace.model, workplace.folder / "moved")
    assert "--tokenizer" in command("inspect", workplace.prepared).stderr
    assert command("inspect", workplace.prepared, "--examples", 0).returncode == 0
    assert command("inspect", workplace.prepared, "--tokenizer", moved).returncode == 0


def test_tokenize_shows_ids_and_pieces(workplace, rng):
    folder = FIXTURES / "tokenizers" / workplace.kind
    if workplace.kind == "t5":
        model = sentencepiece.SentencePieceProcessor(str(folder / "spiece.model"))
        encode = lambda text: [(i, model.id_to_piece(i)) for i in model.encode(text)]
    else:
        bpe = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
        encode = lambda text: [(i, bpe.id_to_token(i)) for i in bpe.encode(text).ids]
    lines = [row["model_input"].replace("\n", " ") for row in read_rows(FIXTURES / "data/gsm8k/train.jsonl")]
    lines = rng.sample(lines, 40) + ["", "日本語 naïve 👍🏽", "tab\there"]
    text = "\n".join(lines) + "\n"
    (workplace.folder / "text.txt").write_text(text)
    from_file = command("tokenize", "--tokenizer", folder, workplace.folder / "text.txt")
    from_stdin = command("tokenize", "--tokenizer", folder, input=text)
    assert from_file.returncode == 0 and from_file.stdout == from_stdin.stdout
    shown = from_file.stdout.splitlines()
    assert len(shown) == 2 * len(lines)
    for line, ids, pieces in zip(lines, shown[::2], shown[1::2]):
        expected = encode(line)
        assert [int(i) for i in ids.split()] == [i for i, _ in expected], line
        assert pieces.split() == [piece for _, piece in expected], line
    (workplace.folder / "text.txt").write_bytes(b"good\nbad \xff\n")
    bad = command("tokenize", "--tokenizer", folder, workplace.folder / "text.txt")
    assert bad.returncode == 1 and "text.txt: line 2" in bad.stderr
    assert command("tokenize", "--tokenizer", workplace.folder / "none").returncode == 1


def test_duplicates_and_split(workplace, rng):
    rows = [row for name in ("nl2bash", "scan") for row in read_rows(FIXTURES / f"data/{name}/train.jsonl")]
    rows += rng.choices(rows, k=200)
    rng.shuffle(rows)
    write_rows(workplace.rows, rows)
    as_texts = lambda some: [(row["model_input"], row["model_output"]) for row in some]
    duplicates = [i + 1 for i, row in enumerate(as_texts(rows)) if row in as_texts(rows[:i])]
    workplace.succeed(**SHARDED)
    manifest = manifest_of(workplace.prepared / "train")
    assert manifest["counts"]["duplicates"] == len(duplicates)
    assert manifest["first_duplicates"] == [f"{workplace.rows}: line {i}" for i in duplicates[:5]]
    workplace.fail("deduplicate false instead of true", keys=SHARDED | {"deduplicate": True})
    distinct = workplace.folder / "distinct"
    workplace.succeed(**SHARDED | {"deduplicate": True, "prepared_dir": str(distinct)})
    unique = list(dict.fromkeys(as_texts(rows)))
    alone = workplace.folder / "alone"
    write_rows(workplace.rows, make_rows(*zip(*unique)))
    workplace.succeed(**SHARDED | {"prepared_dir": str(alone)})
    for shard in (alone / "train").glob("*.h5"):
        assert shard.read_bytes() == (distinct / "train" / shard.name).read_bytes()

    def examples(folder):
        shown = command("inspect", folder, "--examples", 10000).stdout
        return set(re.findall(r"tokens, the label between « and »\):\n((?:  .*\n)+)", shown))

    def split(some, share, folder):
        write_rows(workplace.rows, some)
        workplace.succeed(**SHARDED | {"prepared_dir": str(folder), "validation_split": share, "model_max_length": 1000})
        counts = [manifest_of(folder / name)["counts"] for name in ("train", "validation")]
        assert sum(c["rows"] for c in counts) == len(some)
        return examples(folder / "validation"), counts

    held_out, counts = split(rows, 0.3, workplace.folder / "a")
    assert 0.2 < counts[1]["rows"] / len(rows) < 0.4
    # Further rows, in another order, move none of the others; equal rows are never in both sets.
    more = rows + make_rows([f"further {i}" for i in range(50)], ["row"] * 50)
    rng.shuffle(more)
    also_held_out, counts = split(more, 0.3, workplace.folder / "b")
    assert held_out == {text for text in also_held_out if "further" not in text}
    assert also_held_out.isdisjoint(examples(workplace.folder / "b" / "train"))
    workplace.fail("validation_split", keys={"validation_split": 0.3, "validation_datasets": [str(workplace.rows)]})


def test_command_line(t5):
    for name in ("verify", "inspect", "tokenize"):
        assert "Exit code" in command(name, "--help").stdout
        (t5.folder / name).mkdir()
        missing = command(name, cwd=t5.folder)
        assert missing.returncode == 1 and missing.stderr.startswith("lockstep-prep: error: ")
    both = command(t5.job(), "verify", t5.prepared)
    assert both.returncode == 1 and "found both" in both.stderr
    # A job file of a subcommand's name is given as a path.
    (t5.folder / "verify").rmdir()
    shutil.copy(t5.job(), t5.folder / "verify")
    assert command("./verify", cwd=t5.folder).returncode == 0
