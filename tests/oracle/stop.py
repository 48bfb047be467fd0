"""Runs that are asked to stop: they end in good order, with exit code 85 on every rank."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time

import pytest
from conftest import BIN, ROOT, example_rows, random_model, run, write_rows
from hub_server import Hub
from hub_workplace import LFS, NAME, files
from long_job import listens, wait_until
from training_workplace import write_job

STOPPED = 85
SIGNALS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
RANKS = [None, 2]
SECONDS = 20  # within which a run must end


def children(pids, *which):
    return subprocess.run(["pgrep", "-P", str(pids), *which], capture_output=True, text=True).stdout.split()


class Started:
    """A program of the build under way, under mpirun if `ranks` is given. It is killed behind the context."""

    def __init__(self, folder, *command, ranks=None, **environment):
        self.errors = folder / "stderr"
        launcher = [] if ranks is None else [str(ROOT / "launch" / "mpirun.sh"), "-n", str(ranks)]
        self.command = [*launcher, str(BIN / command[0]), *map(str, command[1:])]
        self.is_launched = ranks is not None
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}

    def __enter__(self):
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=errors, env=self.environment,
                                            start_new_session=True)
        return self

    def __exit__(self, *_):
        for pid in self.ranks():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def stderr(self):
        return self.errors.read_text(errors="replace")

    def ranks(self):
        """Their processes, in the order of their ranks."""
        if not self.is_launched:
            return [self.process.pid]
        launchers = [str(self.process.pid), *children(self.process.pid)]  # the script, and its mpirun
        return sorted(map(int, children(",".join(launchers), "-x", "lockstep")))

    def wait_for(self, text):
        wait_until(lambda: text in self.stderr() or self.process.poll() is not None, 60, self.stderr)
        assert self.process.poll() is None, self.stderr()

    def wait_until_it_listens(self, ranks=1):
        """Until every rank has handlers for the signals."""
        wait_until(lambda: len(self.ranks()) == ranks and all(listens(pid, SIGNALS) for pid in self.ranks()), 60, self.stderr)

    def stop(self, number=signal.SIGTERM, rank=-1):
        """Asks one rank alone."""
        os.kill(self.ranks()[rank], number)

    def assert_stops(self, *words):
        assert self.process.wait(timeout=SECONDS) == STOPPED, self.stderr()
        lines = [line for line in self.stderr().splitlines() if "stopped: " in line]
        assert len(lines) == 1 and "lockstep: error:" not in self.stderr(), self.stderr()
        for word in words:
            assert word in lines[0], lines[0]


def reason(number, ranks):
    return signal.Signals(number).name + (f" on 1 of {ranks} ranks" if ranks else "")


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """One that never ends a text by itself, and takes long ones."""
    folder = tmp_path_factory.mktemp("model")
    random_model("llama", folder, 1)
    change_json(folder / "config.json", eos_token_id=1_000_000, max_position_embeddings=100_000)
    change_json(folder / "generation_config.json", eos_token_id=1_000_000)
    change_json(folder / "tokenizer_config.json", model_max_length=100_000)
    return folder


@pytest.fixture
def rows(tmp_path):
    return write_rows(tmp_path / "rows.jsonl", example_rows("gpt2", 100, 1))


@pytest.fixture
def output(tmp_path):
    (tmp_path / "output").mkdir()
    return tmp_path / "output" / "lines.jsonl"


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("ranks", RANKS)
def test_evaluate(number, ranks, model, tmp_path, output):
    row = {"model_input": "one two three " * 1000, "model_output": "four " * 1000}
    rows = write_rows(tmp_path / "rows.jsonl", [row] * 400)
    with Started(tmp_path, "lockstep", "evaluate", "--model", model, "--dataset", rows, "--output", output, "--batch-size", 1,
                 ranks=ranks) as started:
        started.wait_for("weights of")
        time.sleep(1)
        started.stop(number)
        started.assert_stops(reason(number, ranks), "nothing was written", "run the same command again")
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("what", ["file", "prompt"])
def test_generate_within_a_batch(number, what, model, rows, tmp_path, output):
    arguments = ["--input", rows, "--output", output] if what == "file" else ["--prompt", "list all files"]
    with Started(tmp_path, "lockstep", "generate", "--model", model, *arguments, "--max-new-tokens", 100_000) as started:
        started.wait_until_it_listens()
        time.sleep(1)
        started.stop(number)
        started.assert_stops(reason(number, None), "nothing was written")
    assert not list(output.parent.iterdir())


class TestTrain:
    @pytest.fixture
    def job(self, model, tmp_path):
        job = write_job(tmp_path, model, example_rows("gpt2", 8, 1), False, max_steps=1, global_batch_size=4)
        run("lockstep-prep", job)
        return job

    @staticmethod
    def held(folder, ranks, **environment):
        """Training that waits for its job file; each rank for one of its own."""
        jobs = [folder / f"held-{rank}.yaml" for rank in range(ranks or 1)]
        for pipe in jobs:
            os.mkfifo(pipe)
        others = [part for pipe in jobs[1:] for part in [":", "-n", "1", BIN / "lockstep", "train", pipe]]
        return Started(folder, "lockstep", "train", jobs[0], *others, ranks=ranks and 1, **environment), jobs

    @pytest.mark.parametrize("number", SIGNALS)
    @pytest.mark.parametrize("ranks", RANKS)
    def test_while_loading(self, number, ranks, job, tmp_path):
        training, pipes = self.held(tmp_path, ranks)
        with training as started:
            started.wait_until_it_listens(ranks or 1)
            started.stop(number)
            for pipe in pipes:
                pipe.write_text(job.read_text())
            started.assert_stops(reason(number, ranks), "there was nothing to save")
        assert not (tmp_path / "result").exists()

    @pytest.mark.parametrize("ranks", RANKS)
    def test_usr1_to_the_launcher_reaches_all_ranks(self, ranks, job, tmp_path):
        training, pipes = self.held(tmp_path, ranks)
        with training as started:
            started.wait_until_it_listens(ranks or 1)
            os.kill(started.process.pid, signal.SIGUSR1)
            time.sleep(1)
            for pipe in pipes:
                pipe.write_text(job.read_text())
            started.assert_stops("SIGUSR1 on 2 of 2 ranks" if ranks else "SIGUSR1")

    def test_the_second_ctrl_c_ends_it_at_once(self, job, tmp_path):
        training, _ = self.held(tmp_path, None)
        with training as started:
            started.wait_until_it_listens()
            started.stop(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                started.process.wait(timeout=1)
            started.stop(signal.SIGINT)
            assert started.process.wait(timeout=SECONDS) == -signal.SIGINT

    @pytest.mark.parametrize("ranks", RANKS)
    def test_a_file_stops_it_once(self, ranks, job, tmp_path):
        result = tmp_path / "result"
        result.mkdir()
        (result / "STOP").touch()
        with Started(tmp_path, "lockstep", "train", job, ranks=ranks) as started:
            started.assert_stops(f"the file {result / 'STOP'}")
        assert [path.name for path in result.iterdir()] == ["STOPPED"]
        run("lockstep", "train", job, ranks=ranks)
        assert (result / "model.safetensors").exists() and not (result / "STOPPED").exists()

    def test_every_rank_has_the_exit_code(self, job, tmp_path):
        """mpirun itself tells but one that is not 0."""
        (tmp_path / "result").mkdir()
        (tmp_path / "result" / "STOP").touch()
        # mpirun sends SIGTERM to the others once the first has left.
        keep_code = f"trap '' TERM; \"$@\"; code=$?; echo $code >> {tmp_path / 'codes'}; exit $code"
        launched = [ROOT / "launch" / "mpirun.sh", "-n", "2", "sh", "-c", keep_code, "sh", BIN / "lockstep", "train", job]
        finished = subprocess.run(launched, capture_output=True, text=True, timeout=60)
        assert finished.returncode == STOPPED, finished.stderr
        assert (tmp_path / "codes").read_text().split() == [str(STOPPED)] * 2

    @pytest.mark.parametrize("ranks", RANKS)
    def test_the_end_of_the_jobs_time_stops_it(self, ranks, job, tmp_path):
        end = int(time.time()) + 15
        with Started(tmp_path, "lockstep", "train", job, ranks=ranks, SLURM_JOB_END_TIME=str(end)) as started:
            started.assert_stops("the job's time ends at " + time.strftime("%H:%M:%S", time.localtime(end)))
        assert not (tmp_path / "result").exists()

    @pytest.mark.parametrize("end", ["soon", "1700000000"])
    def test_an_end_that_is_no_time_ahead_is_a_warning(self, end, job, tmp_path):
        finished = run("lockstep", "train", job, SLURM_JOB_END_TIME=end)
        assert f"SLURM_JOB_END_TIME: expected seconds since 1970, later than now, found '{end}'" in finished.stderr

    def test_within_a_download(self, job, tmp_path):
        with Hub() as hub:
            weights = bytes(1_000_000)
            hub.model(NAME).commit(files(weights), "main", lfs=LFS)
            hub.fail("GET /repos/" + hashlib.sha256(weights).hexdigest(), stall=30)
            overrides = [f"pretrained_model_name={NAME}", "has_encoder=true"]
            with Started(tmp_path, "lockstep", "train", job, *overrides, HF_HOME=str(tmp_path / "home"), HF_ENDPOINT=hub.endpoint,
                         HF_HUB_OFFLINE="0", no_proxy="127.0.0.1", HF_HUB_DOWNLOAD_TIMEOUT="2") as started:  # fmt: skip
                started.wait_for(" MB, from ")
                time.sleep(0.5)
                started.stop()
                started.assert_stops("SIGTERM", "hub")
            assert list((tmp_path / "home").glob("hub/*/blobs/*.incomplete"))


@pytest.mark.parametrize("number", SIGNALS)
def test_commands_that_save_nothing_end_as_by_default(number, tmp_path):
    pipe = tmp_path / "job.yaml"
    os.mkfifo(pipe)
    with Started(tmp_path, "lockstep", "plan", pipe, "--gpus", 2, "--gpu", "h100", "--link", "1Gb") as started:
        time.sleep(1)
        started.stop(number)
        assert started.process.wait(timeout=SECONDS) == -number
