"""Every format of a dataset, written by other libraries from random tables, gives the shards of its JSON Lines."""

import bz2
import csv
import gzip
import json
import random
import subprocess
import sys

import datasets
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from prep import read_shards
from prep_workplace import PREP, Workplace, contents, manifest_of, t5  # noqa: F401

PIECES = ["plain words ", "comma, ", 'a "quote" ', "tab\t", "new\nline ", "back\\slash ", "é日本 ", "😀 ", "{brace} ", "''", "\r\n",
          "[1, 2] ", "\u2028", "0.50", " ", "<a>", "\x7f"]  # fmt: skip
DRAWERS = {
    "text": lambda r: "".join(r.choices(PIECES, k=r.randrange(1, 12))),
    "whole": lambda r: r.randrange(-(2**63), 2**63),
    "real": lambda r: r.choice([r.uniform(-1, 1), r.uniform(-1, 1) * 10.0 ** r.randrange(-300, 300), float(r.randrange(10**17))]),
    "flag": lambda r: r.random() < 0.5,
    "label": lambda r: r.choice(["yes", "no", "perhaps, not"]),
}
TYPES = {"text": pa.string(), "whole": pa.int64(), "real": pa.float64(), "flag": pa.bool_(), "label": pa.string()}


@pytest.fixture
def draw(seed):
    return random.Random(seed)


class Table:
    """Random rows of a text column and one of another kind, among columns that are not asked for."""

    def __init__(self, draw, rows=None):
        self.output = draw.choice(list(DRAWERS))
        columns = {"question": "text", "answer": self.output, "number": "whole", "share": "real"}
        self.names = draw.sample(list(columns), len(columns))
        self.types = {name: TYPES[columns[name]] for name in self.names}
        count = rows or draw.randrange(1, 1500)
        self.rows = [{name: DRAWERS[columns[name]](draw) for name in self.names} for _ in range(count)]
        self.draw = draw

    def json_lines(self):
        return "".join(json.dumps(row, ensure_ascii=self.draw.random() < 0.5) + "\n" for row in self.rows)

    def arrow(self):
        table = pa.Table.from_pylist(self.rows, pa.schema(list(self.types.items())))
        kinds = {"text": [pa.string(), pa.large_string(), pa.string_view()], "label": [pa.dictionary(pa.int32(), pa.string())]}
        for name in ("question", "answer"):
            of = "text" if name == "question" else self.output
            type_ = self.draw.choice(kinds.get(of, []) + [self.types[name]])
            column = table[name]
            column = column.dictionary_encode() if pa.types.is_dictionary(type_) else column.cast(type_)
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    def delimited(self, path, **options):
        """Texts always in quotes: an empty cell without them is a missing one."""
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.names, quoting=csv.QUOTE_NONNUMERIC, **options)
            writer.writeheader()
            for row in self.rows:
                writer.writerow({k: json.dumps(v) if isinstance(v, bool) else v for k, v in row.items()})
        return path

    def huggingface(self):
        return datasets.Dataset(self.arrow())


def written_by(compress):
    def write(table, path):
        path.write_bytes(compress(table.json_lines().encode()))
        return path

    return write


def write_json_array(table, path):
    path.write_text(json.dumps(table.rows, ensure_ascii=table.draw.random() < 0.5, indent=table.draw.choice([None, 1])))
    return path


def write_parquet(table, path):
    pa.parquet.write_table(
        table.arrow(), path, row_group_size=table.draw.choice([1, 100, 10000]), version=table.draw.choice(["1.0", "2.6"]),
        compression=table.draw.choice(["none", "snappy", "zstd", "gzip", "brotli", "lz4"]),
        use_dictionary=table.draw.random() < 0.5, data_page_version=table.draw.choice(["1.0", "2.0"]),
    )  # fmt: skip
    return path


def write_ipc(new):
    def write(table, path):
        data = table.arrow()
        options = pa.ipc.IpcWriteOptions(compression=table.draw.choice([None, "zstd", "lz4"]))
        with pa.OSFile(str(path), "wb") as sink, new(sink, data.schema, options=options) as writer:
            writer.write_table(data.unify_dictionaries(), max_chunksize=table.draw.choice([1, 100, 10000]))
        return path

    return write


def write_saved(table, path):
    table.huggingface().save_to_disk(path, num_shards=table.draw.randrange(1, min(12, len(table.rows)) + 1))
    return path


def write_dataset_dict(table, path):
    other = datasets.Dataset.from_dict({"question": ["other"], "answer": ["rows"]})
    datasets.DatasetDict({"other": other, "train": table.huggingface()}).save_to_disk(path)
    return path


def write_split(table, path):
    other = datasets.Dataset.from_dict({"question": ["other"], "answer": ["rows"]})
    datasets.DatasetDict({"train": other, "dev.2": table.huggingface()}).save_to_disk(path)
    return f"{path}:dev.2"


def write_by_datasets(method):
    def write(table, path):
        getattr(table.huggingface(), method)(path)
        return path

    return write


def write_pieces(table, path):
    """Several files under one pattern, in the order of their names."""
    path.mkdir()
    cuts = sorted(table.draw.choices(range(len(table.rows) + 1), k=3))
    for i, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(table.rows)])):
        if start < end:
            rows = "".join(json.dumps(row) + "\n" for row in table.rows[start:end])
            (path / f"part-{i}.jsonl").write_text(rows)
    return path / "part-?.jsonl"


def zstd(bytes_):
    return pa.compress(bytes_, codec="zstd", asbytes=True)


def lz4(bytes_):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(bytes_)
    return sink.getvalue().to_pybytes()


def two_gzip_members(bytes_):
    return gzip.compress(bytes_[: len(bytes_) // 2]) + gzip.compress(bytes_[len(bytes_) // 2 :])


WRITERS = {
    "r.json": write_json_array,
    "r.jsonl.gz": written_by(two_gzip_members),
    "r.jsonl.zst": written_by(zstd),
    "r.ndjson.bz2": written_by(bz2.compress),
    "r.json.lz4": written_by(lz4),
    "r.csv": lambda table, path: table.delimited(path),
    "r.tsv": lambda table, path: table.delimited(path, delimiter="\t"),
    "r.parquet": write_parquet,
    "file.arrow": write_ipc(pa.ipc.new_file),
    "stream.arrow": write_ipc(pa.ipc.new_stream),
    "saved": write_saved,
    "dict": write_dataset_dict,
    "split": write_split,
    "by_datasets.parquet": write_by_datasets("to_parquet"),
    "by_datasets.jsonl": write_by_datasets("to_json"),
    "pieces": write_pieces,
}
TEMPLATES = [
    {"input_column": "question", "output_column": "answer"},
    {"prompt_template": "{question}\n{{\"n\": {number}}}\n", "response_template": "{answer}"},
    {"input_column": "number", "prompt_template": "{model_input} = {question}", "response_template": "{answer}!"},
]  # fmt: skip


def shards(folder):
    return {name: bytes_ for name, bytes_ in contents(folder / "train").items() if name.endswith(".h5")}


def filled(text, row):
    """What a template gives, by Python's own formatting of the JSON texts."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
    return text.format(**texts)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_shards_of_its_json_lines(t5, draw, name):
    table = Table(draw)
    keys = draw.choice(TEMPLATES)
    if name == "by_datasets.jsonl" and (table.output == "real" or "number" in json.dumps(keys)):
        pytest.skip("pandas writes other digits")
    t5.rows.write_text(table.json_lines())
    t5.succeed(**keys)
    location = WRITERS[name](table, t5.folder / name)
    t5.succeed(**keys, training_datasets=[str(location)], prepared_dir=str(t5.folder / "other"))
    assert shards(t5.folder / "other") == shards(t5.prepared)
    assert manifest_of(t5.folder / "other" / "train")["counts"]["rows"] == len(table.rows)


@pytest.mark.parametrize("keys", TEMPLATES, ids=range(len(TEMPLATES)))
def test_templates_give_what_python_formats(t5, draw, keys):
    table = Table(draw)
    t5.rows.write_text(table.json_lines())
    t5.succeed(**keys)
    prompt = keys.get("prompt_template", "{model_input}").replace("{model_input}", f"{{{keys.get('input_column', '')}}}")
    response = keys.get("response_template", "{answer}")
    pairs = [{"model_input": filled(prompt, row), "model_output": filled(response, row)} for row in table.rows]
    plain = t5.folder / "plain.jsonl"
    plain.write_text("".join(json.dumps(row) + "\n" for row in pairs))
    t5.succeed(training_datasets=[str(plain)], prepared_dir=str(t5.folder / "plain"))
    assert shards(t5.folder / "plain") == shards(t5.prepared)


def test_validation_reads_the_validation_split(t5, draw):
    table, other = Table(draw), Table(draw)
    keys = {"input_column": "question", "output_column": "number"}
    saved = datasets.DatasetDict({"train": other.huggingface(), "validation": table.huggingface()})
    saved.save_to_disk(t5.folder / "saved")
    t5.rows.write_text(table.json_lines())
    t5.succeed(**keys)
    folder = t5.folder / "both"
    location = [str(t5.folder / "saved")]
    t5.succeed(**keys, training_datasets=location, validation_datasets=location, prepared_dir=str(folder))
    wanted = shards(t5.prepared)
    assert {k: v for k, v in contents(folder / "validation").items() if k.endswith(".h5")} == wanted
    assert manifest_of(folder / "train")["sources"][0]["path"] == f"{location[0]}:train"


def test_a_missing_split_lists_those_that_exist(t5, draw):
    datasets.DatasetDict({"train": Table(draw, 3).huggingface(), "dev": Table(draw, 3).huggingface()}).save_to_disk(t5.folder / "saved")
    location = [str(t5.folder / "saved")]
    t5.fail('"validation"', '"train"', '"dev"', keys={"validation_datasets": location})
    t5.fail('"test"', '"train"', '"dev"', keys={"training_datasets": [location[0] + ":test"]})


def test_settings_of_the_rows_identify_a_prepared_set(t5, draw):
    table = Table(draw, 20)
    t5.rows.write_text(table.json_lines())
    keys = {"input_column": "question", "output_column": "answer", "response_template": "{number}"}
    t5.succeed(**keys)
    assert "already prepared" in t5.succeed(**keys).stdout
    for key, value in {
        "input_column": "number",
        "output_column": "share",
        "prompt_template": "Q: {question}\n",
        "response_template": "{share}",
        "input_contains_output": "false",
    }.items():
        t5.fail(key, keys=keys | {key: value})
    assert "already prepared" in t5.succeed(**keys).stdout


def test_prompt2model_rows_give_the_examples_of_separate_ones(tmp_path, draw):
    gpt2 = Workplace(tmp_path, "gpt2")
    pairs = [(f"<task 0>Do\nExample:\n{draw.random()}\nLabel:\n", DRAWERS["text"](draw)) for _ in range(300)]
    eos = "<|endoftext|>"
    contained = [{"model_input": i + o + eos, "model_output": o + eos} for i, o in pairs]
    apart = [{"model_input": i, "model_output": o} for i, o in pairs]
    prepared = {}
    for name, rows in {"contained": contained, "apart": apart}.items():
        gpt2.rows.write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = gpt2.succeed(prepared_dir=str(tmp_path / name))
        assert ("ends with model_output" in result.stderr) == (name == "contained")
        prepared[name] = read_shards(tmp_path / name / "train")
    assert prepared["contained"] == prepared["apart"]
    gpt2.rows.write_text("".join(json.dumps(row) + "\n" for row in contained + apart))
    gpt2.fail("line 301", "input_contains_output", keys={"prepared_dir": str(tmp_path / "mixed")})


PEAK_OF_CHILD = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_kilobytes(job):
    """By a small process between: Linux counts what a child holds before it becomes another program."""
    command = [sys.executable, "-c", PEAK_OF_CHILD, PREP, job]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("name", ["r.parquet", "r.arrow", "r.json", "r.jsonl.gz"])
def test_memory_does_not_grow_with_the_file(t5, name):
    """The large file is 120 MB larger, and a single row group. Parquet alone leaves a column that is not asked for unread."""
    bulk = "model_input" if name == "r.parquet" else "context"
    peaks = []
    for megabytes in (10, 130):
        rows = [{"model_input": "a", "model_output": "b"} | {bulk: random.randbytes(480).hex(" ", 4)} for _ in range(900 * megabytes)]
        table, path = pa.Table.from_pylist(rows), t5.folder / f"{megabytes}-{name}"
        if name == "r.json":
            path.write_text(json.dumps(rows))
        elif name == "r.jsonl.gz":
            path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), 1))
        elif name == "r.parquet":
            pa.parquet.write_table(table, path, row_group_size=len(rows), use_dictionary=False)
        else:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=500)
        job = t5.job(training_datasets=[str(path)], prepared_dir=str(t5.folder / f"{megabytes}"), model_max_length=8)
        peaks.append(peak_kilobytes(job))
    print(name, peaks)
    assert peaks[1] < peaks[0] + 40000
