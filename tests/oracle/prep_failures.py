"""What lockstep-prep refuses, and what it leaves behind when it fails or is killed."""

import shutil
import signal
import subprocess
import time

import pytest
from prep_workplace import FIXTURES, PREP, contents, make_model, make_rows, read_rows, write_rows
from prep_workplace import t5  # noqa: F401


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
