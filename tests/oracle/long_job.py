"""A job that would train for hours, on ranks that are stopped, killed or cut off; and how it must end."""

import os
import pathlib
import re
import subprocess
import time

from conftest import BIN, ROOT, example_rows, random_model, run
from training_workplace import write_job

TIMEOUT = 3  # collective_timeout_s
MPIRUN = [ROOT / "launch" / "mpirun.sh"]


def write_long_job(folder, rows=20, **keys):
    if not (folder / "model").exists():
        random_model("gpt2", folder / "model", 1)
    job = write_job(folder, folder / "model", example_rows("gpt2", rows, 1), False,
                    **{"max_steps": 10_000_000, "global_batch_size": 8, "per_device_train_batch_size": 2,
                       "collective_timeout_s": TIMEOUT, **keys})
    run("lockstep-prep", job)
    return job


def wait_until(condition, seconds, explain):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.05)


def listens(pid, signals):
    """Whether a process has handlers for the signals."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return all(caught >> (number - 1) & 1 for number in signals)


class LongJob:
    """Starts `launcher` with `lockstep train JOB`, and whatever follows. It is killed behind the context."""

    def __init__(self, job, launcher, *arguments, **environment):
        self.job = job
        self.output = pathlib.Path(re.search(r"^output_dir: (.*)$", job.read_text(), re.MULTILINE).group(1))
        self.command = [*map(str, launcher), str(BIN / "lockstep"), "train", str(job), *map(str, arguments)]
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}

    def __enter__(self):
        with open(self.job.parent / "stderr", "w") as errors:
            self.launcher = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=errors, env=self.environment,
                                             start_new_session=True)
        return self

    def __exit__(self, *_):
        self.launcher.kill()
        self.launcher.wait()
        for pid in self.processes():
            subprocess.run(["kill", "-KILL", str(pid)], capture_output=True)

    def stderr(self):
        return (self.job.parent / "stderr").read_text(errors="replace")

    def metrics_lines(self):
        metrics = self.output / "metrics.jsonl"
        return len(metrics.read_bytes().splitlines()) if metrics.exists() else 0

    def wait_for_steps(self, count=5):
        wait_until(lambda: self.launcher.poll() is not None or self.metrics_lines() >= count, 60, self.stderr)
        assert self.launcher.poll() is None, self.stderr()

    def processes(self):
        """The ids of all processes of the program that name the job, and are not only waiting to be buried."""
        found = subprocess.run(["pgrep", "-f", str(self.job), "-r", "RSDTt"], capture_output=True, text=True).stdout.split()
        return [int(pid) for pid in found if int(pid) != self.launcher.pid and self.name_of(pid) == "lockstep"]

    @staticmethod
    def name_of(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""  # it has ended

    def ranks(self):
        """The processes by rank."""
        found = {}
        for pid in self.processes():
            variables = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            found.update((int(value), pid) for name, _, value in (line.partition(b"=") for line in variables) if name == b"PMIX_RANK")
        return found

    def assert_ends(self, within=TIMEOUT + 5):
        """With an exit code, without a process left or a model; the errors of Lockstep on stderr."""
        begun = time.monotonic()
        code = self.launcher.wait(timeout=within)
        assert code != 0
        # What ends the launcher's daemons looks for them every 50 ms.
        wait_until(lambda: not self.processes(), max(0.5, begun + within - time.monotonic()), lambda: f"left: {self.processes()}")
        assert not list(self.output.glob("*.safetensors*"))
        return [line for line in self.stderr().splitlines() if line.startswith("lockstep: error:")]

    def assert_ends_with_one_error(self, *words, within=TIMEOUT + 5):
        errors = self.assert_ends(within)
        assert len(errors) == 1, self.stderr()
        for word in words:
            assert word in errors[0], errors[0]
        return errors[0]
