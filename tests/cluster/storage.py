"""Files that fail while ranks train: a disk that fills up, a shard that breaks."""

import os
import shutil
import socket
import subprocess

import pytest
from conftest import BIN, run
from long_job import MPIRUN, LongJob, wait_until, write_long_job

HOST = socket.gethostname()
DISK_FULL = ["cannot write: No space left on device", "free some space, or write to another disk"]


@pytest.fixture
def disk(tmp_path):
    """A small one of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not allow mounts: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk):
    """Another program takes all that is left."""
    with open(disk / "of-another", "wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                pass


class TestADiskThatFillsUp:
    @pytest.mark.parametrize("ranks", [1, 2])
    def test_while_training(self, ranks, disk, tmp_path):
        job = write_long_job(tmp_path, output_dir=disk / "result")
        with LongJob(job, [*MPIRUN, "-n", ranks]) as running:
            running.wait_for_steps()
            fill(disk)
            error = running.assert_ends_with_one_error("step ", str(disk / "result" / "metrics.jsonl"), *DISK_FULL)
            assert (f"rank 0 on {HOST}: step " in error) == (ranks > 1)

    def test_without_room_for_checkpoints(self, disk, tmp_path):
        """They are left out, with a warning each, and the run goes on."""
        job = write_long_job(tmp_path, output_dir=disk / "result", max_steps=20, save_strategy="steps", save_steps=5, collective_timeout_s=60)
        with LongJob(job, [*MPIRUN, "-n", 2]) as running:
            assert running.launcher.wait(timeout=120) == 0, running.stderr()
            warnings = [line for line in running.stderr().splitlines() if "was not saved: " in line]
            assert len(warnings) == 4 and all("bytes" in line and "free some space" in line for line in warnings), warnings
            assert (running.output / "model.safetensors").exists() and not list(running.output.glob("*checkpoint-*"))

    def test_before_the_model_is_saved(self, disk, tmp_path):
        job = write_long_job(tmp_path, output_dir=disk / "result", max_steps=2000, logging_steps=10_000)
        with LongJob(job, [*MPIRUN, "-n", 2]) as running:
            wait_until((running.output / "metrics.jsonl").exists, 60, running.stderr)
            fill(disk)
            # So many steps take longer than the limit of a single collective, and than it takes to fill the disk.
            running.assert_ends_with_one_error(f"rank 0 on {HOST}: saving the model: {disk / 'result'}", *DISK_FULL, within=60)
            assert not list(running.output.glob("*.partial"))


@pytest.mark.parametrize("bad", [0, 1])
def test_a_shard_that_breaks_while_a_rank_trains(bad, tmp_path):
    """Each rank reads shards of its own, of which one rank's are cut off behind those that it has read."""
    job = write_long_job(tmp_path, rows=400, global_batch_size=2, shard_text_bytes=1)
    folders = [tmp_path / "prepared", tmp_path / "copy"]
    shutil.copytree(*folders)
    with LongJob(job, [*MPIRUN, "-n", 1], ":", "-n", 1, BIN / "lockstep", "train", job, f"prepared_dir={folders[1]}") as running:
        running.wait_for_steps()
        for shard in folders[bad].glob("train/shard-*.h5"):
            os.truncate(shard, 100)
        assert running.metrics_lines() < 200, "too late: all shards have been read"
        running.assert_ends_with_one_error(f"rank {bad} on {HOST}: step ", f"{folders[bad]}/train/shard-", "HDF5", "lockstep-prep")
