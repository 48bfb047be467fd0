"""lockstep-prep killed at any moment and started again, and shared among processes: the bytes are always the same."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from conftest import setting
from prep_workplace import FIXTURES, PREP, contents, manifest_of, read_rows, write_rows
from prep_workplace import kind, t5, workplace  # noqa: F401

KILLS = setting("KILLS", 20)
SHARDED = {"shard_text_bytes": 150_000}


def fill(workplace, rng, copies=50):
    rows = [row for name in ("gsm8k", "nl2bash", "scan") for row in read_rows(FIXTURES / f"data/{name}/train.jsonl")]
    rows *= copies
    rng.shuffle(rows)
    write_rows(workplace.rows, rows)


def start(job, *overrides, **environment):
    return subprocess.Popen(
        [PREP, job, *overrides], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def kill_after(process, seconds):
    """True if it was killed before it ended by itself."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def finished_shards(folder):
    return {p.name: p.stat().st_mtime_ns for p in folder.glob(".train.*.partial/shard-?????.json")}


def test_killed_at_random_moments(workplace, rng):
    fill(workplace, rng)
    keys = SHARDED | {"validation_split": 0.1, "deduplicate": rng.random() < 0.5}
    job = workplace.job(**keys)
    begin = time.monotonic()
    whole = workplace.succeed(**keys)
    duration = time.monotonic() - begin
    expected = contents(workplace.prepared)
    assert len(manifest_of(workplace.prepared / "train")["shards"]) >= (2 if keys["deduplicate"] else 5)
    shutil.rmtree(workplace.prepared)
    kills = 0
    while kills < KILLS:
        shutil.rmtree(workplace.prepared, ignore_errors=True)
        # Each run is killed sooner than a whole one takes; what it finished must not be lost to the next.
        before = {}
        while kill_after(start(job, f"num_workers={rng.choice([1, 2, 3])}"), rng.uniform(0, duration)):
            kills += 1
            visible = {k: v for k, v in contents(workplace.prepared).items() if not k.startswith(".")}
            assert all(visible[name] == expected[name] for name in visible)
            after = finished_shards(workplace.prepared)
            if not list(workplace.prepared.glob(".train.*.partial/manifest.json")) and after:  # else it was finishing
                assert all(after.get(name) == written for name, written in before.items())
            before = after
        assert contents(workplace.prepared) == expected
    again = workplace.succeed(**keys)
    assert again.stdout.count("already prepared") == 2
    assert [line for line in again.stdout.splitlines() if "already prepared" not in line] == whole.stdout.splitlines()


def test_finished_shards_are_not_written_again(t5, rng):
    fill(t5, rng)
    t5.succeed(**SHARDED)
    expected = contents(t5.prepared)
    shards = len(manifest_of(t5.prepared / "train")["shards"])
    shutil.rmtree(t5.prepared)
    process = start(t5.job(**SHARDED), "num_workers=1")
    while len(finished_shards(t5.prepared)) < 2 and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    (partial,) = t5.prepared.glob(".train.*.partial")
    kept = finished_shards(t5.prepared)
    # A record that says so is believed only if the bytes agree.
    damaged = partial / rng.choice(sorted(kept)).replace(".json", ".h5")
    bytes_ = bytearray(damaged.read_bytes())
    bytes_[rng.randrange(len(bytes_))] ^= 1 << rng.randrange(8)
    damaged.write_bytes(bytes_)
    result = t5.succeed(**SHARDED)
    assert 2 <= len(kept) < shards
    assert f"{len(kept) - 1} shards were already written" in result.stderr
    assert contents(t5.prepared) == expected


def test_another_job_does_not_continue_with_them(t5, rng):
    fill(t5, rng)
    kill_after(start(t5.job(**SHARDED), "num_workers=1"), rng.uniform(0.05, 0.3))
    shutil.rmtree(t5.prepared / "train", ignore_errors=True)  # if it was whole already
    changed = SHARDED | rng.choice([{"model_max_length": 30}, {"deduplicate": True}, {"shard_text_bytes": 90_000}])
    t5.succeed(**changed)
    fresh = t5.folder / "fresh"
    t5.succeed(**changed | {"prepared_dir": str(fresh)})
    assert contents(t5.prepared) == contents(fresh)


LAUNCHERS = {
    "openmpi": lambda rank, size: {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": str(size)},
    "hydra": lambda rank, size: {"PMI_RANK": str(rank), "PMI_SIZE": str(size)},
    "srun": lambda rank, size: {"SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": str(size)},
    "array": lambda rank, size: {
        "SLURM_ARRAY_TASK_ID": str(5 + rank), "SLURM_ARRAY_TASK_COUNT": str(size),
        "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_MAX": str(4 + size)},
}  # fmt: skip


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ranks_give_the_same_bytes(t5, rng, launcher):
    fill(t5, rng)
    keys = SHARDED | {"validation_split": 0.2}
    t5.succeed(**keys)
    expected = contents(t5.prepared)
    shutil.rmtree(t5.prepared)
    size = rng.choice([2, 3, 5])
    job = t5.job(**keys)
    ranks = [start(job, "num_workers=1", **LAUNCHERS[launcher](rank, size)) for rank in range(size)]
    finished = [rank.communicate() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * size, finished
    assert sum("training data" in out for out, _ in finished) == 1, finished
    assert contents(t5.prepared) == expected


def test_a_dead_rank_leaves_its_work_to_the_next_start(t5, rng):
    fill(t5, rng)
    t5.succeed(**SHARDED)
    expected = contents(t5.prepared)
    shutil.rmtree(t5.prepared)
    job, dead = t5.job(**SHARDED), rng.randrange(3)
    environment = LAUNCHERS["array"]
    ranks = [start(job, "num_workers=1", **environment(rank, 3)) for rank in range(3)]
    ranks[dead].kill()
    outputs = [rank.communicate()[0] for rank in ranks]
    for rank in set(range(3)) - {dead}:
        assert ranks[rank].returncode == 0 and "shards of other ranks are still missing" in outputs[rank]
    assert not (t5.prepared / "train").exists()
    again = start(job, **environment(dead, 3))
    assert "training data" in again.communicate()[0] and again.returncode == 0
    assert contents(t5.prepared) == expected


def test_a_process_alone_waits_for_no_rank(t5, rng):
    """Ranks hold the folder together; a process alone is kept out, and told so, while they work."""
    fill(t5, rng)
    job = t5.job(**SHARDED)
    rank = start(job, "num_workers=1", **LAUNCHERS["srun"](0, 2))
    while not list(t5.prepared.glob(".train.*.partial")) and rank.poll() is None:
        time.sleep(0.002)
    os.kill(rank.pid, signal.SIGSTOP)
    try:
        t5.fail("another lockstep-prep is writing here", keys=SHARDED)
    finally:
        os.kill(rank.pid, signal.SIGCONT)
    rank.communicate()
    assert rank.returncode == 0
