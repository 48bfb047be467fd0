"""lockstep train under srun, on a real Slurm of two nodes."""

import os
import signal
import socket

import pytest
import slurm_cluster
from conftest import BIN, example_rows, random_model, read_lines, run
from long_job import TIMEOUT, LongJob, wait_until, write_long_job
from slurm_cluster import NODE_TIMEOUT_S, SlurmCluster
from training_workplace import step_losses, write_job

pytestmark = pytest.mark.skipif(slurm_cluster.why_not() is not None, reason=str(slurm_cluster.why_not()))
SRUN = ["srun", "--mpi=pmix", "-n", "2", "-N", "2", "--kill-on-bad-exit=1"]


@pytest.fixture(scope="module")
def cluster():
    with SlurmCluster() as cluster:
        yield cluster


@pytest.fixture
def job(tmp_path):
    random_model("gpt2", tmp_path / "model", 1)
    job = write_job(tmp_path, tmp_path / "model", example_rows("gpt2", 20, 1), False, max_steps=12, global_batch_size=8,
                    per_device_train_batch_size=2, learning_rate=1e-3)
    run("lockstep-prep", job)
    return job


def test_ranks_of_srun_train_like_those_of_mpirun(cluster, job, tmp_path):
    finished = cluster.run(*SRUN, BIN / "lockstep", "train", job, f"output_dir={tmp_path / 'srun'}", OMP_NUM_THREADS="1")
    assert "on 2 ranks" in finished.stderr
    run("lockstep", "train", job, f"output_dir={tmp_path / 'mpirun'}", ranks=2, OMP_NUM_THREADS="1")
    assert step_losses(tmp_path / "srun") == step_losses(tmp_path / "mpirun")
    assert len(read_lines(tmp_path / "srun" / "metrics.jsonl")) == 12
    weights, expected = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("srun", "mpirun"))
    assert weights == expected


def test_a_batch_script_trains(cluster, job, tmp_path):
    """As users start it; Slurm's variables of the batch step do not mislead what it starts."""
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/sh\n#SBATCH --nodes=2 --ntasks-per-node=1\n"
                      f"srun --mpi=pmix {BIN / 'lockstep'} train {job} || exit\n"
                      f"{BIN / 'lockstep'} train {job} output_dir={tmp_path / 'alone'}\n")
    number = cluster.submit(f"--output={tmp_path / 'log'}", script, OMP_NUM_THREADS="1")
    cluster.wait_for(number, "COMPLETED", "FAILED")
    log = (tmp_path / "log").read_text()
    assert cluster.state_of(number) == "COMPLETED", log
    assert "on 2 ranks" in log and "on 1 ranks" in log
    assert step_losses(tmp_path / "alone") == pytest.approx(step_losses(tmp_path / "result"), rel=1e-5)


def test_tasks_without_ranks_are_refused(cluster, job, tmp_path):
    """Each would train alone."""
    finished = cluster.run("srun", "--mpi=none", "-n", "2", BIN / "lockstep", "train", job, check=False, timeout=30)
    assert finished.returncode != 0
    errors = [line for line in finished.stderr.splitlines() if line.startswith("lockstep: error:")]
    assert len(errors) == 1, finished.stderr
    for word in ["2 ", "srun --mpi=pmix", "srun --mpi=list"]:
        assert word in errors[0]
    assert not (tmp_path / "result").exists()


class TestARankThatFails:
    @pytest.fixture
    def running(self, cluster, tmp_path):
        with LongJob(write_long_job(tmp_path), SRUN, **cluster.environment) as running:
            running.wait_for_steps()
            yield running

    @pytest.mark.parametrize("rank", [0, 1])
    def test_killed(self, rank, running):
        os.kill(running.ranks()[rank], signal.SIGKILL)
        running.assert_ends()

    @pytest.mark.parametrize("rank", [0, 1])
    def test_stopped(self, rank, running):
        os.kill(running.ranks()[rank], signal.SIGSTOP)
        running.assert_ends_with_one_error(f"rank {1 - rank} on {socket.gethostname()}: step ", f"collective_timeout_s: {TIMEOUT}")

    def test_a_node_that_vanishes(self, cluster, running):
        """The rank ends in time; srun itself waits until Slurm gives the node up."""
        cluster.kill_node("n2")
        try:
            wait_until(lambda: not running.processes(), TIMEOUT + 5, running.stderr)
            running.assert_ends_with_one_error(f"rank 0 on {socket.gethostname()}: step ", f"collective_timeout_s: {TIMEOUT}",
                                               within=6 * NODE_TIMEOUT_S)
        finally:
            cluster.start_node("n2")
            wait_until(cluster.all_idle, 60, cluster.logs)
