"""Models of the hub by their name: resolved, downloaded and cached as huggingface_hub does it, whatever goes wrong."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BIN, random_model, run, write_rows
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
def rng():
    seed = int(os.environ.get("LOCKSTEP_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
    print(f"seed {seed} (again: LOCKSTEP_SEED={seed})")
    return random.Random(seed)


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
    client.refused("expected names of files beside it, found '../../../../evil'")


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
                   "there is no folder", "models--org--nothing is none", name="org/nothing")  # fmt: skip
    client.refused("no model of this name, or a private one", "the token of HF_TOKEN is given", name="org/nothing",
                   HF_TOKEN="hf_mine")  # fmt: skip
    client.refused("the token of HF_TOKEN is not valid", HF_TOKEN="hf_invalid")
    hub.models[NAME].gate = "hf_granted"
    client.refused(f"{hub.endpoint}/{NAME}: a gated model", "no token is given", "log in by `hf auth login`")
    client.refused("a gated model", "the token of HF_TOKEN is given", "accept its conditions", HF_TOKEN="hf_mine")
    client.download(HF_TOKEN="hf_granted")
    assert len(hub.asked("GET /api")) == 6  # none was tried again


def test_a_file_that_vanished(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.fail("HEAD .*spiece.model", status=404, headers={"X-Error-Code": "EntryNotFound"})
    client.refused("spiece.model: the model has no such file")


def test_what_is_no_hub_is_told(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.fail("GET /api", status=200)
    client.refused("expected the answer of a Hugging Face hub, found 'nothing to see'", "HF_ENDPOINT")
    hub.fail("HEAD .*config", status=200)
    client.refused("no X-Repo-Commit header")
    hub.fail("HEAD .*config", status=200, headers={"X-Repo-Commit": "x", "ETag": '"../../../evil"'})
    client.refused("the ETag '../../../evil'")
    client.refused("HF_ENDPOINT: expected a URL", HF_ENDPOINT="huggingface.co")


# ---- networks


def test_transient_failures_are_tried_again(hub, client):
    model = files()
    hub.model(NAME).commit(model, "main", lfs=LFS)
    hub.fail("GET /api", status=429, headers={"Retry-After": "1"})
    hub.fail("GET /api", status=503)
    hub.fail("HEAD .*/config.json", status=429, headers={"RateLimit": '"api";r=0;t=1'})
    hub.fail("HEAD .*/spiece", status=502)
    hub.fail("GET .*/spiece", status=500)
    hub.fail("GET /repos/", status=403)  # a signature that expired: the hub is asked for another
    hub.fail("GET .*generation_config", cut=0)
    folder, log = client.download()
    for asked_to_wait in ("GET /api", "HEAD .*/config.json"):
        first, second = hub.asked(asked_to_wait)[:2]
        assert second.time - first.time >= 1
    assert log.count("trying again") == 7
    assert contents(folder) == {name: model[name] for name in NEEDED}
    urls = [r.path for r in hub.asked("GET /repos/")]
    assert len(urls) == len(set(urls)) == 3


def test_a_server_that_asks_for_too_much_patience(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.fail("GET /api", status=429, headers={"Retry-After": "7200"})
    client.refused("HTTP status 429")
    assert len(hub.asked()) == 1


def test_a_cut_connection_is_continued(hub, client, rng):
    weights = rng.randbytes(3_000_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    cuts = sorted(rng.sample(range(1, len(weights)), 3))
    begin = 0
    for cut in cuts:
        hub.fail("GET /repos/" + hashlib.sha256(weights).hexdigest(), cut=cut - begin)
        begin = cut
    folder, _ = client.download()
    assert (folder / "model.safetensors").read_bytes() == weights
    parts = bodies(hub, hashlib.sha256(weights).hexdigest())
    assert [r.headers.get("Range") for r in parts] == [None] + [f"bytes={cut}-" for cut in cuts]
    assert sum(r.sent for r in parts) == len(weights)


def test_a_server_without_ranges(hub, client, rng):
    weights = rng.randbytes(400_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    for cut in (rng.randrange(1, 400_000), rng.randrange(1, 400_000), -1):
        hub.fail("GET /repos/" + hashlib.sha256(weights).hexdigest(), cut=cut, ignore_range=True)
    folder, _ = client.download()
    assert (folder / "model.safetensors").read_bytes() == weights


def test_a_server_that_begins_elsewhere(hub, client, rng):
    weights = rng.randbytes(400_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    pattern = "GET /repos/" + hashlib.sha256(weights).hexdigest()
    hub.fail(pattern, cut=200_000)
    hub.fail(pattern, early=rng.randrange(1, 200_000))
    folder, log = client.download()
    assert (folder / "model.safetensors").read_bytes() == weights and "anew" not in log


def test_a_silent_server_is_left(hub, client, rng):
    weights = rng.randbytes(600_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    hub.fail("GET /repos/" + hashlib.sha256(weights).hexdigest(), stall=60)
    begin = time.monotonic()
    folder, _ = client.download(HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert time.monotonic() - begin < 30
    assert (folder / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("file", ["model.safetensors", "generation_config.json"])
def test_wrong_bytes_are_noticed(hub, client, file):
    model = files(generation_config=b"")
    hub.model(NAME).commit(model, "main", lfs=LFS)
    digest = hashlib.sha256(model["model.safetensors"]).hexdigest()
    pattern = f"GET /repos/{digest}" if file in LFS else f"GET .*{file}"
    hub.fail(pattern, corrupt=True)
    folder, log = client.download()
    assert f"{file}: expected content with the" in log and "fetching it anew" in log
    assert (folder / file).read_bytes() == model[file]
    check_cache(client)
    other = hub.model(NAME).commit({**files(b"others", generation_config=b""), "generation_config.json": b"{ }"}, "main")
    hub.models[NAME].lfs.add("model.safetensors")
    hub.fail(f"GET (/repos/|.*{file})", times=9, corrupt=True)
    client.refused(f"{file}: expected content with the", "check whether a proxy changes")
    assert not (client.cache / FOLDER / "snapshots" / other / file).exists()
    assert (client.cache / FOLDER / "refs/main").read_text() == folder.name
    check_cache(client)


def test_a_damaged_beginning_is_not_continued(hub, client, rng):
    weights = rng.randbytes(500_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    blob = client.cache / FOLDER / "blobs" / f"{hashlib.sha256(weights).hexdigest()}.incomplete"
    blob.parent.mkdir(parents=True)
    for beginning in (rng.randbytes(1000), rng.randbytes(500_000), rng.randbytes(500_001)):
        blob.write_bytes(beginning)
        folder, _ = client.download()
        assert (folder / "model.safetensors").read_bytes() == weights
        (folder / "model.safetensors").resolve().unlink()


def test_redirects_without_end(hub, client):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    hub.fail("GET /(api|loop)", times=99, redirect="/loop")
    client.refused("more than 10 redirects")
    hub.faults.clear()
    hub.fail("GET /repos/", times=99, redirect=f"{hub.url('storage')}/repos/again?signature=1")
    client.refused("more than 10 redirects")


def test_the_server_is_away(hub, client, tmp_path):
    hub.model(NAME).commit(files(), "main", lfs=LFS)
    client.python(f"import huggingface_hub as h\nfor f in {sorted(NEEDED)}: h.hf_hub_download('{NAME}', f)")
    nowhere = "http://127.0.0.1:9"
    for command in (["download", NAME], ["tokenize", "--tokenizer", NAME]):
        result = client.run(*command, HF_ENDPOINT=nowhere)
        assert result.returncode == 0 and "what the cache has of it is used" in result.stderr, result.stderr
    empty = str(tmp_path / "empty")
    client.refused("expected a model, found none", f"there is no folder {os.getcwd()}/{NAME}", f"{empty}/hub/{FOLDER} is none",
                   f"{nowhere} gives none", "lockstep-prep download", "HF_HOME", HF_ENDPOINT=nowhere, HF_HOME=empty)  # fmt: skip
    client.refused("HF_HUB_OFFLINE is set", HF_ENDPOINT=nowhere, HF_HOME=empty, HF_HUB_OFFLINE="1")
    client.refused("has not this revision", "HF_HUB_OFFLINE is set", name=f"{NAME}@other", HF_HUB_OFFLINE="1")


@pytest.mark.parametrize("program", ["lockstep", "lockstep-prep"])
def test_one_openssl(program):
    """libparquet exports an OpenSSL of its own, which libcurl must not take for the system's."""
    bound = run(program, "--version", LD_DEBUG="bindings", LD_BIND_NOW="1").stderr
    users = r"lib(curl|ssl|crypto)[^ ]* \[0\]"
    assert re.search(f"binding file [^ ]*{users} to [^ ]*libcrypto", bound)
    assert not re.search(f"binding file [^ ]*{users} to [^ ]*lib(parquet|arrow|torch)", bound)


def test_https(tmp_path):
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)  # fmt: skip
    both = tmp_path / "both"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    random_model("t5-v1.0", tmp_path / "model", 1)
    with Hub(both) as hub:
        hub.model(NAME).commit(contents(tmp_path / "model"), "main", lfs=("model.safetensors",))
        client = Client(hub, tmp_path)
        client.refused("certificate")
        assert len(hub.asked()) == 0
        client.download(SSL_CERT_FILE=str(certificate))
        client.environment["HF_HOME"] = str(tmp_path / "other")
        run("lockstep", "generate", "--model", NAME, "--prompt", "jump", **client.variables(SSL_CERT_FILE=str(certificate)))
        assert hub.problems == []


# ---- several processes, and kills


def test_processes_at_once_fetch_each_file_once(hub, client, rng):
    weights = rng.randbytes(2_000_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    hub.bytes_per_second = 2_000_000
    processes = [client.start("download", NAME) for _ in range(4)]
    finished = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, finished
    assert len({out for out, _ in finished}) == 1
    assert any("another process is downloading it" in err for _, err in finished)
    assert len(bodies(hub)) == len(NEEDED)
    check_cache(client)


def test_processes_at_once_without_locks(hub, client, rng):
    """On file systems where locks lock nothing, two writers of one file do no harm."""
    weights = rng.randbytes(2_000_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    hub.bytes_per_second = 2_000_000
    first = client.start("download", NAME)
    while not list(client.cache.glob(".locks/*/*.lock")) and first.poll() is None:
        time.sleep(0.01)
    processes = [first]
    for _ in range(2):
        time.sleep(rng.uniform(0, 0.5))
        for lock in client.cache.glob(".locks/*/*.lock"):
            lock.unlink()  # the next one makes another file and locks that
        processes.append(client.start("download", NAME))
    finished = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, finished
    check_cache(client)


@pytest.mark.parametrize("has_other_name", [False, True])
def test_another_file_under_the_same_name_is_not_published(hub, client, rng, has_other_name):
    """Without locks, another process may have begun anew meanwhile."""
    weights = rng.randbytes(2_000_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    hub.bytes_per_second = 2_000_000
    incomplete = client.cache / FOLDER / "blobs" / f"{hashlib.sha256(weights).hexdigest()}.incomplete"
    process = client.start("download", NAME)
    while process.poll() is None and not (incomplete.exists() and incomplete.stat().st_size > 300_000):
        time.sleep(0.005)
    if has_other_name:
        os.link(incomplete, client.home / "kept")
    incomplete.unlink()
    incomplete.write_bytes(weights[:1000])
    _, log = process.communicate(timeout=60)
    if has_other_name:
        assert process.returncode == 0, log
    else:
        assert process.returncode == 1 and "expected to be the only process that writes it" in log
    assert incomplete.read_bytes() == weights[:1000]
    check_cache(client)
    assert (client.download()[0] / "model.safetensors").read_bytes() == weights


def test_killed_at_random_moments(hub, client, rng):
    weights = rng.randbytes(3_000_000)
    model = files(weights)
    hub.model(NAME).commit(model, "main", lfs=LFS)
    hub.bytes_per_second = 3_000_000
    begin = time.monotonic()
    client.download()
    duration = time.monotonic() - begin
    for name in ("once", "again"):
        client.environment["HF_HOME"] = str(client.home.with_name(name))
        client.cache = client.home.with_name(name) / "hub"
        hub.forget()
        kills = 0
        while True:
            process = client.start("download", NAME)
            try:
                process.wait(rng.uniform(0, duration))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            out, err = process.communicate()
            check_cache(client)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, err
        assert contents(Path(out.strip())) == {name: model[name] for name in NEEDED}
        # What had come was not fetched again, but for what was under way when the process was killed.
        whole = sum(len(model[name]) for name in NEEDED)
        assert sum(r.sent for r in bodies(hub)) < whole + (kills + 1) * 1_500_000
        client.python(f"import huggingface_hub as h; h.snapshot_download('{NAME}', local_files_only=True)\n"
                      "assert not h.scan_cache_dir().warnings")  # fmt: skip


def test_a_killed_download_is_resumed(hub, client, rng):
    weights = rng.randbytes(3_000_000)
    hub.model(NAME).commit(files(weights), "main", lfs=LFS)
    hub.bytes_per_second = 2_000_000
    incomplete = client.cache / FOLDER / "blobs" / f"{hashlib.sha256(weights).hexdigest()}.incomplete"
    process = client.start("download", NAME)
    while process.poll() is None and not (incomplete.exists() and incomplete.stat().st_size > 500_000):
        time.sleep(0.005)
    process.kill()
    process.communicate()
    there = incomplete.stat().st_size
    assert there < len(weights) and not (client.cache / FOLDER / "refs").exists()
    hub.forget()
    folder, _ = client.download()
    assert (folder / "model.safetensors").read_bytes() == weights
    (part,) = bodies(hub)
    assert part.headers["Range"] == f"bytes={there}-" and part.sent == len(weights) - there


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
