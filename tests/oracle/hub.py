"""Models of the hub by their name: resolved and cached as huggingface_hub does it, and read by the programs."""

import json
import re
import subprocess

import pytest
from conftest import BIN, random_model, run, write_rows
from hub_workplace import FOLDER, LFS, NAME, NEEDED, NEVER, bodies, check_cache, contents, files
from hub_workplace import client, hub  # noqa: F401


# ---- the cache is huggingface_hub's


def test_huggingface_hub_takes_our_cache_for_its_own(hub, client):
    model = files()
    commit = hub.model(NAME).commit(model, "main", lfs=LFS)
    folder, _ = client.download()
    assert folder == client.cache / FOLDER / "snapshots" / commit
    assert contents(folder) == {name: model[name] for name in NEEDED}
    assert (client.cache / FOLDER / "refs/main").read_text() == commit
    assert not [r.path for r in hub.asked() if any(name in r.path for name in NEVER) or "pytorch" in r.path]
    check_cache(client)
    found = client.python(
        "import huggingface_hub as h, json\n"
        f"path = h.snapshot_download('{NAME}', local_files_only=True)\n"
        "info = h.scan_cache_dir()\n"
        "(repo,) = info.repos; (revision,) = repo.revisions\n"
        "print(json.dumps([path, [str(w) for w in info.warnings], repo.repo_id, repo.repo_type, revision.commit_hash,\n"
        "  sorted(revision.refs), sorted(f.file_name for f in revision.files),\n"
        f"  h.try_to_load_from_cache('{NAME}', 'tokenizer.json') is h._CACHED_NO_EXIST]))"
    )
    assert json.loads(found) == [str(folder), [], NAME, "model", commit, ["main"], sorted(NEEDED), True]
    # Online, it fetches what is left and nothing that is there.
    hub.forget()
    client.python(f"import huggingface_hub as h; h.snapshot_download('{NAME}')")
    fetched = {re.search("resolve/[^/]+/(.*)", r.path)[1] for r in hub.asked("HEAD /.*resolve")}
    assert fetched == set(model) - NEEDED


def test_we_take_huggingface_hubs_cache_for_ours(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    path = client.python(f"import huggingface_hub as h; print(h.snapshot_download('{NAME}'))")
    hub.forget()
    for offline in "01":
        result = client.run("tokenize", "--tokenizer", NAME, HF_HUB_OFFLINE=offline)
        assert result.returncode == 0 and path in result.stderr, result.stderr
    assert hub.asked() == []
    assert str(client.download(HF_HUB_OFFLINE="1")[0]) == path


def test_a_part_of_a_model_is_completed(hub, client):
    """huggingface_hub writes the revision first: it may stand for a folder with a single file."""
    model = files()
    hub.model(NAME).commit(model, "main", lfs=LFS)
    client.python(f"import huggingface_hub as h; h.hf_hub_download('{NAME}', 'spiece.model')")
    client.refused("is not complete", "HF_HUB_OFFLINE is set", HF_HUB_OFFLINE="1")
    hub.forget()
    folder, _ = client.download()
    assert contents(folder) == {name: model[name] for name in NEEDED}
    assert not hub.asked("spiece.model")


def test_transformers_opens_what_we_downloaded(hub, client, tmp_path):
    random_model("t5-v1.0", tmp_path / "model", 1)
    model = contents(tmp_path / "model")
    hub.model(NAME).commit(model, "main", lfs=("model.safetensors",))
    client.download()
    client.python(
        "import transformers\n"
        f"transformers.AutoModelForSeq2SeqLM.from_pretrained('{NAME}'); transformers.AutoTokenizer.from_pretrained('{NAME}')",
        HF_HUB_OFFLINE="1",
    )


# ---- names


def test_a_folder_comes_first_and_asks_nobody(hub, client, tmp_path):
    (tmp_path / "org").mkdir()
    folder = tmp_path / NAME
    folder.mkdir()
    for name in ("config.json", "spiece.model"):
        (folder / name).write_bytes(files()[name])
    result = subprocess.run([BIN / "lockstep-prep", "tokenize", "--tokenizer", NAME], input="a b", cwd=tmp_path,
                            capture_output=True, text=True, env=client.variables())  # fmt: skip
    assert result.returncode == 0 and "▁" in result.stdout and hub.asked() == []
    assert not client.home.exists()


def test_tokenize_fetches_no_weights_and_once(hub, client, tmp_path):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    text = tmp_path / "text"
    text.write_text("translate this\n")
    by_name = client.run("tokenize", "--tokenizer", NAME, str(text))
    assert by_name.returncode == 0, by_name.stderr
    assert not hub.asked("model.safetensors|pytorch_model")
    hub.forget()
    again = client.run("tokenize", "--tokenizer", NAME, str(text))
    (folder,) = (client.cache / FOLDER / "snapshots").iterdir()
    by_folder = client.run("tokenize", "--tokenizer", str(folder), str(text))
    assert by_name.stdout == again.stdout == by_folder.stdout != ""
    assert hub.asked() == []


def test_revisions(hub, client):
    model = hub.model(NAME)
    commits = {
        "main": model.commit(files(b"newest"), "main", lfs=LFS),
        "feature/x": model.commit(files(b"of a branch"), "feature/x"),
        "v1.0": model.commit(files(b"of a tag"), "v1.0"),
    }
    pinned = model.commit(files(b"of a commit"))
    for revision, commit in [*commits.items(), (pinned, pinned)]:
        folder, _ = client.download(f"{NAME}@{revision}")
        assert folder.name == commit
        assert (folder / "model.safetensors").read_bytes() == model.commits[commit]["model.safetensors"]
        assert (client.cache / FOLDER / "refs" / revision).exists() == (revision != pinned)
        hub.forget()
        assert client.run("tokenize", "--tokenizer", f"{NAME}@{revision}").returncode == 0 and hub.asked() == []
    # A file that two commits share is there once.
    assert len(list((client.cache / FOLDER / "blobs").iterdir())) == len(NEEDED) - 1 + 4
    client.refused("has no revision 'v2.0'", "give one of its branches, tags or commits", name=f"{NAME}@v2.0")
    check_cache(client)


def test_a_branch_that_moved_is_fetched_when_asked_for(hub, client):
    model = hub.model(NAME)
    old = model.commit(files(b"old"), "main", lfs=LFS)
    client.download()
    new = model.commit(files(b"new"), "main", lfs=LFS)
    used = client.run("tokenize", "--tokenizer", NAME)
    assert old in used.stderr and new not in used.stderr
    hub.forget()
    assert client.download()[0].name == new
    assert {r.path.rpartition("/")[2] for r in hub.asked("GET .*resolve")} == {"model.safetensors"}
    assert client.download()[0].name == new


def test_a_renamed_model_keeps_its_token(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.models[NAME].token = "hf_secret"
    hub.renamed["former/name"] = NAME
    assert client.download("former/name", HF_TOKEN="hf_secret")[0].parent.parent.name == "models--former--name"


@pytest.mark.parametrize("name", ["/no/such/folder", "a/b/c", "org/", "org/na--me", "org/name@", "org/name@a..b", "-x"])
def test_what_is_no_name_is_no_request(hub, client, name):
    result = client.run("download", "--", name)
    assert result.returncode == 1 and "expected the folder of a model, or a model of the hub" in result.stderr
    assert hub.asked() == []


# ---- weights


def test_sharded_weights(hub, client):
    shards = {f"model-0000{i}-of-00002.safetensors": b"shard %d" % i for i in (1, 2)}
    index = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})
    model = files() | shards | {"model.safetensors.index.json": index.encode()}
    del model["model.safetensors"]
    hub.model(NAME).commit(model, "main", lfs=LFS + tuple(shards))
    folder, _ = client.download()
    assert set(contents(folder)) == NEEDED - {"model.safetensors"} | set(shards) | {"model.safetensors.index.json"}
    (folder / "model-00002-of-00002.safetensors").unlink()
    client.refused("is not complete", HF_HUB_OFFLINE="1")
    hub.forget()
    assert set(shards) <= set(contents(client.download()[0]))
    assert bodies(hub) == []  # the blob was there still


def test_pytorch_weights_where_there_are_no_others(hub, client):
    model = files()
    del model["model.safetensors"]
    hub.model(NAME).commit(model, "main", lfs=LFS)
    folder, _ = client.download()
    assert set(contents(folder)) == NEEDED - {"model.safetensors"} | {"pytorch_model.bin"}
    hub.forget()
    assert client.download(HF_HUB_OFFLINE="1")[0] == folder and hub.asked() == []


def test_no_weights_that_are_read(hub, client):
    model = {k: v for k, v in files().items() if k not in ("model.safetensors", "pytorch_model.bin")}
    hub.model(NAME).commit(model, "main")
    client.refused("expected weights in one of model.safetensors, model.safetensors.index.json, pytorch_model.bin")


def test_an_index_cannot_name_a_path(hub, client):
    index = json.dumps({"weight_map": {"a": "../../../../evil"}}).encode()
    model = files() | {"model.safetensors.index.json": index}
    del model["model.safetensors"]
    hub.model(NAME).commit(model, "main", lfs=LFS)
    client.refused("expected names of files in the same folder, found '../../../../evil'")


def test_an_unsupported_model_is_found_before_its_weights(hub, client):
    hub.model(NAME).commit(files() | {"config.json": b'{"model_type": "unheard-of"}'}, "main", lfs=LFS)
    client.refused('expected a supported "model_type"', "unheard-of")
    assert not hub.asked("model.safetensors")


# ---- tokens and refusals


@pytest.mark.parametrize("place", ["HF_TOKEN", "token", "HF_TOKEN_PATH"])
def test_the_token_goes_to_the_hub_alone_and_into_no_log(hub, client, tmp_path, place):
    secret = "hf_secret-of-mine"
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.models[NAME].token = secret
    environment = {}
    if place == "HF_TOKEN":
        environment = {"HF_TOKEN": f" {secret}\n"}
    else:
        path = client.home / "token" if place == "token" else tmp_path / "elsewhere"
        path.parent.mkdir(exist_ok=True)
        path.write_text(secret + "\n")
        environment = {} if place == "token" else {"HF_TOKEN_PATH": str(path)}
    hub.fail("HEAD .*spiece", status=503)
    _, log = client.download(**environment)
    assert all(r.headers["Authorization"] == f"Bearer {secret}" for r in hub.asked() if r.host == "hub")
    assert [r for r in hub.asked() if r.host == "storage"]  # which never saw it: see the fixture
    assert secret not in log
    assert secret not in client.refused("has no revision", name=f"{NAME}@other", **environment).stderr


def test_refusals_tell_what_to_do(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    client.refused("no model of this name, or a private one", "no token is given", "check the name", "HF_TOKEN",
                   "there is no folder", "models--org--nothing does not exist", name="org/nothing")  # fmt: skip
    client.refused("no model of this name, or a private one", "the token of HF_TOKEN is given", name="org/nothing",
                   HF_TOKEN="hf_mine")  # fmt: skip
    client.refused("the token of HF_TOKEN is not valid", HF_TOKEN="hf_invalid")
    hub.models[NAME].gate = "hf_granted"
    client.refused(f"{hub.endpoint}/{NAME}: the model is gated", "no token is given", "log in with `hf auth login`")
    client.refused("the model is gated", "the token of HF_TOKEN is given", "accept its conditions", HF_TOKEN="hf_mine")
    client.download(HF_TOKEN="hf_granted")
    assert len(hub.asked("GET /api")) == 6  # none was tried again


def test_a_file_that_vanished(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.fail("HEAD .*spiece.model", status=404, headers={"X-Error-Code": "EntryNotFound"})
    client.refused("spiece.model: the model has no such file")


def test_what_is_no_hub_is_told(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.fail("GET /api", status=200)
    client.refused("expected the response of a Hugging Face hub, found 'nothing to see'", "HF_ENDPOINT")
    hub.fail("HEAD .*config", status=200)
    client.refused("no X-Repo-Commit header")
    hub.fail("HEAD .*config", status=200, headers={"X-Repo-Commit": "x", "ETag": '"../../../evil"'})
    client.refused("the ETag '../../../evil'")
    client.refused("HF_ENDPOINT: expected a URL", HF_ENDPOINT="huggingface.co")


# ---- the programs


def test_prepare_train_evaluate_and_generate_by_name(hub, client, tmp_path):
    random_model("t5-v1.0", tmp_path / "model", 3)
    model = contents(tmp_path / "model")
    hub.model(NAME).commit(model, "main", lfs=("model.safetensors",))
    rows = write_rows(tmp_path / "rows.jsonl", [{"model_input": f"jump {i}", "model_output": "I_JUMP"} for i in range(8)])
    job = tmp_path / "job.yaml"
    keys = {
        "pretrained_model_name": NAME, "has_encoder": True, "training_datasets": [str(rows)], "validation_datasets": [str(rows)],
        "prepared_dir": str(tmp_path / "prepared"), "output_dir": str(tmp_path / "trained"), "max_steps": 1,
        "model_max_length": 32, "per_device_train_batch_size": 4,
    }  # fmt: skip
    job.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items()))
    prepared = client.run(str(job))
    assert prepared.returncode == 0, prepared.stderr
    assert json.loads((tmp_path / "prepared/train/manifest.json").read_text())["pretrained_model_name"] == NAME
    hub.forget()
    inspected = client.run("inspect", str(tmp_path / "prepared"))
    assert "jump" in inspected.stdout, inspected.stderr
    environment = client.variables(HF_HUB_OFFLINE="1")  # as on the nodes of a cluster
    run("lockstep", "train", job, ranks=2, **environment)
    by_name, by_folder = tmp_path / "by_name.jsonl", tmp_path / "by_folder.jsonl"
    for output, given in ((by_name, NAME), (by_folder, tmp_path / "model")):
        run("lockstep", "evaluate", "--model", given, "--dataset", rows, "--output", output, ranks=2, **environment)
    assert by_name.read_text() == by_folder.read_text()
    assert hub.asked() == []
    # A rank that downloads is enough, and the weights come after the rest.
    environment = client.variables(HF_HOME=str(tmp_path / "fresh"))
    run("lockstep", "evaluate", "--model", NAME, "--dataset", rows, "--output", by_name, ranks=2, **environment)
    assert by_name.read_text() == by_folder.read_text()
    asked = [r.path.rpartition("/")[2] for r in hub.asked("GET /.*resolve")]
    assert sorted(asked) == sorted(set(model) & set(asked)) and asked[-1] == "model.safetensors"
    answers = [
        run("lockstep", "generate", "--model", given, "--prompt", "jump twice", "--max-new-tokens", "5", **environment).stdout
        for given in (NAME, tmp_path / "model")
    ]
    assert answers[0] == answers[1]


def test_the_wrong_kind_of_model_is_told_to_every_rank(hub, client, tmp_path):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    job = tmp_path / "job.yaml"
    job.write_text(f"pretrained_model_name: {NAME}\nhas_encoder: false\ntraining_datasets: [x.jsonl]\n")
    failed = run("lockstep", "train", job, ranks=2, check=False, **client.variables())
    assert failed.returncode != 0 and failed.stderr.count("has_encoder: expected true") == 1, failed.stderr
    assert not hub.asked("model.safetensors")
    assert "has_encoder: expected true" in client.run(str(job)).stderr
