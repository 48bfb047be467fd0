"""lockstep-prep's shards against sentencepiece, transformers and h5py."""

import csv
import hashlib
import json
import re
import shutil

import h5py
import pytest
import sentencepiece
from prep_workplace import CONFIGS, FIXTURES, Workplace, contents, make_rows, manifest_of, read_rows, write_rows
from prep_workplace import kind, t5, workplace  # noqa: F401
from transformers import AutoTokenizer

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

    def __init__(self, workplace):
        self.kind = workplace.kind
        if self.kind == "t5":
            model = sentencepiece.SentencePieceProcessor(str(workplace.model / "spiece.model"))
            self.encode, self.eos = model.encode, 1
        else:
            tokenizer = AutoTokenizer.from_pretrained(workplace.model)
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


def check(workplace, rows, limit):
    result = workplace.succeed(model_max_length=limit)
    effective = manifest_of(workplace.prepared / "train")["model_max_length"]
    if limit:
        assert effective == limit
    examples = read_shards(workplace.prepared / "train")
    reference = Reference(workplace)
    expected = [reference.example(row, effective) for row in rows]
    assert len(examples) == len(rows)
    for row, example, (wanted, _, _) in zip(rows, examples, expected):
        assert example == wanted, row
    counts = manifest_of(workplace.prepared / "train")["counts"]
    eos = {"t5": 1, "gpt2": 50256}[workplace.kind]
    truncated = [sum(1 for e in expected if e[part]) for part in (1, 2)]
    assert counts == {
        "rows": len(rows),
        "examples": len(rows),
        "input_tokens": sum(len(e[0]) for e in examples),
        "target_tokens": sum(len(e[1]) for e in examples),
        "truncated_inputs": truncated[0],
        "truncated_targets": truncated[1],
        "empty_outputs": counts["empty_outputs"],
        "doubled_bos": 0,
        "doubled_eos": sum(any(list(text[-2:]) == [eos, eos] for text in e[0 if workplace.kind == "t5" else 1 :]) for e in examples),
        "dropped": {},
        "duplicates": len(rows) - len({(row["model_input"], row["model_output"]) for row in rows}),
        "duplicates_dropped": False,
        "rows_compared_for_duplicates": len(rows),
    }
    for count, phrase in zip(truncated, ("inputs were truncated", "outputs were too long")):
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


def test_random_text(workplace, rng):
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
    reference = Reference(t5)
    rows = [row for path in paths for row in read_rows(path)]
    assert read_shards(t5.prepared / "train") == [reference.example(row, 128)[0] for row in rows]


def test_a_long_source_is_hashed_in_pieces(t5):
    """In any number of threads; of its pieces of 8 MiB the digests are hashed."""
    path = write_rows(t5.folder / "long.jsonl", [{"model_input": "a" * 1000, "model_output": str(i)} for i in range(18_000)])
    bytes_, piece = path.read_bytes(), 8 << 20
    digests = [hashlib.sha256(bytes_[begin:begin + piece]).hexdigest() for begin in range(0, len(bytes_), piece)]
    assert len(digests) == 3
    for workers in (1, 3):
        t5.succeed(training_datasets=[str(path)], num_workers=workers, model_max_length=8, overwrite_output_dir=True)
        source, = manifest_of(t5.prepared / "train")["sources"]
        assert source["sha256"] == hashlib.sha256("".join(digests).encode()).hexdigest()


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


def test_bytes_do_not_depend_on_the_number_of_workers(workplace, rng):
    rows = [row for name in ("gsm8k", "nl2bash", "scan") for row in read_rows(FIXTURES / f"data/{name}/train.jsonl")]
    rng.shuffle(rows)
    write_rows(workplace.rows, rows * 3)
    written = []
    for workers in (1, 2, 9):
        workplace.succeed(num_workers=workers)
        written.append(contents(workplace.prepared))
        shutil.rmtree(workplace.prepared)
    assert written[0] == written[1] == written[2]


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


def test_examples_show_what_is_learned(tmp_path):
    gpt = Workplace(tmp_path, "gpt2")
    write_rows(gpt.rows, make_rows(["one\ntwo", "three"], ["a\u00a0b ", "c"]))
    template = "Q: {model_input}\\nA: "
    result = gpt.succeed(prompt_template=template)
    assert "  Q: one\\ntwo\\\\nA:␣«a\\u00a0b <|endoftext|>»\n" in result.stdout
    assert result.stderr.count("prompt_template: contains a backslash followed by n") == 1
    assert "double quotes" in result.stderr
    assert "backslash" not in gpt.succeed("overwrite_output_dir=true", prompt_template="Q: {model_input}\nA: ").stderr


def test_bos_and_eos_that_texts_spell_are_counted(workplace):
    eos = "</s>" if workplace.kind == "t5" else "<|endoftext|>"
    write_rows(workplace.rows, make_rows(["a", "b", "c"], ["x" + eos, "y", eos + "z"]))
    result = workplace.succeed()
    assert result.stderr.count("1 of 3 examples have a text that ends with EOS twice") == 1
    assert re.search(r"doubled EOS +1 .*\n +first: .*line 1\n", result.stdout)
    assert manifest_of(workplace.prepared / "train")["counts"]["doubled_eos"] == 1


def test_copies_are_not_taken_off_by_a_guess(tmp_path):
    gpt = Workplace(tmp_path, "gpt2")
    write_rows(gpt.rows, make_rows(["Copy: a", "Copy: b"], ["a", "b"]))
    gpt.fail("input_contains_output: expected", "set it to true", "false to keep them")
    gpt.succeed(input_contains_output=False)
    assert len(read_shards(gpt.prepared / "train")[0][0]) > len(read_shards(gpt.prepared / "train")[0][1])


def test_training_and_validation_rows_have_the_same_form(tmp_path):
    gpt = Workplace(tmp_path, "gpt2")
    contained = write_rows(tmp_path / "contained.jsonl", make_rows(["Q a A b", "Q c A d"], ["b", "d"]))
    gpt.fail("input_contains_output: expected", str(contained), keys={"validation_datasets": [str(contained)]})
    gpt.succeed(validation_datasets=[str(contained)], input_contains_output=False)


def test_rows_may_not_lie_where_the_sets_are_written(t5):
    folder = t5.prepared / "train"
    folder.mkdir(parents=True)
    rows = write_rows(folder / "rows.jsonl", make_rows(["a"], ["b"]))
    t5.fail("outside of the folders that lockstep-prep writes", keys={"training_datasets": [str(rows)], "overwrite_output_dir": True})
    assert rows.exists()


def test_length_limit_warnings(tmp_path):
    gpt = Workplace(tmp_path, "gpt2")
    result = gpt.succeed(model_max_length=5000)
    assert result.stderr.count("warning") == 1 and "1024" in result.stderr
    assert manifest_of(gpt.prepared / "train")["model_max_length"] == 1024
    result = gpt.succeed(model_max_length=None)
    assert result.stderr.count("warning") == 1 and "preferable" in result.stderr


def test_a_tokenizer_that_adds_bos_frames_source_and_target(tmp_path):
    """CodeT5: an encoder-decoder with RoBERTa's tokenizer."""
    model = tmp_path / "codet5"
    shutil.copytree(FIXTURES / "tokenizers" / "gpt2", model)
    tokens = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
    (model / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"} | tokens))
    (model / "config.json").write_text(json.dumps(CONFIGS["t5"] | {"vocab_size": 50300}))
    reference = AutoTokenizer.from_pretrained(model)
    assert reference("Hello world")["input_ids"][0] == reference.cls_token_id
    place = Workplace(tmp_path, "t5")
    write_rows(place.rows, make_rows(["Hello world", "x " * 200], ["ls -l", "y " * 200]))
    place.succeed(pretrained_model_name=str(model), model_max_length=32)
    examples = read_shards(place.prepared / "train")
    whole, cut = sorted(examples, key=lambda example: len(example[0]))
    assert whole == tuple(reference(text)["input_ids"] for text in ("Hello world", "ls -l"))
    assert cut == tuple(reference(text, truncation=True, max_length=32)["input_ids"] for text in ("x " * 200, "y " * 200))
