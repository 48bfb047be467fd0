"""Downloads from the hub, whatever goes wrong: networks, checksums, several processes, kills."""

import hashlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import random_model, run
from hub_server import Hub
from hub_workplace import Client, FOLDER, LFS, NAME, NEEDED, bodies, check_cache, contents, files
from hub_workplace import client, hub  # noqa: F401


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
    assert (folder / "model.safetensors").read_bytes() == weights and "fetching it again" not in log


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
    assert f"{file}: expected content with the" in log and "fetching it again" in log
    assert (folder / file).read_bytes() == model[file]
    check_cache(client)
    other = hub.model(NAME).commit({**files(b"others", generation_config=b""), "generation_config.json": b"{ }"}, "main")
    hub.models[NAME].lfs.add("model.safetensors")
    hub.fail(f"GET (/repos/|.*{file})", times=9, corrupt=True)
    client.refused(f"{file}: expected content with the", "check whether a proxy alters")
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
        assert result.returncode == 0 and "the cached files are used" in result.stderr, result.stderr
    empty = str(tmp_path / "empty")
    client.refused("expected a model, found none", f"there is no folder {os.getcwd()}/{NAME}",
                   f"{empty}/hub/{FOLDER} does not exist",
                   f"{nowhere} does not provide one", "lockstep-prep download", "HF_HOME", HF_ENDPOINT=nowhere, HF_HOME=empty)  # fmt: skip
    client.refused("HF_HUB_OFFLINE is set", HF_ENDPOINT=nowhere, HF_HOME=empty, HF_HUB_OFFLINE="1")
    client.refused("does not have this revision", "HF_HUB_OFFLINE is set", name=f"{NAME}@other", HF_HUB_OFFLINE="1")


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
