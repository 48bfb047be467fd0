"""slurm/*.sbatch on a real Slurm of two nodes: jobs that are stopped in every way come back by themselves, with the same bits."""

import os
import pathlib
import re
import signal

import pytest
import slurm_cluster
from conftest import BIN, ROOT, example_rows, random_model, read_lines, run, write_rows
from long_job import wait_until
from slurm_cluster import SlurmCluster
from training_workplace import write_job

pytestmark = pytest.mark.skipif(slurm_cluster.why_not() is not None, reason=str(slurm_cluster.why_not()))
SLURM = ROOT / "slurm"
TIMINGS = ("seconds", "tokens_per_second", "mfu", "input_wait")
STEPS = 600
EVALUATIONS = 2


@pytest.fixture(scope="module")
def cluster():
    settings = ["PreemptType=preempt/partition_prio", "PreemptMode=REQUEUE"]
    partitions = ["PartitionName=spare Nodes=ALL PreemptMode=CANCEL GraceTime=20", "PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF"]
    with SlurmCluster(settings=settings, partitions=partitions, gpus=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A job that is prepared, and trains for some seconds; one of them in evaluations."""
    folder = tmp_path_factory.mktemp("preemption")
    random_model("gpt2", folder / "model", 1)
    validation = write_rows(folder / "validation.jsonl", 10 * example_rows("gpt2", 250, 2))
    job = write_job(folder, folder / "model", 10 * example_rows("gpt2", 8 * STEPS // EVALUATIONS // 10, 1), False, num_train_epochs=EVALUATIONS,
                    global_batch_size=8, per_device_train_batch_size=2, per_device_eval_batch_size=1, learning_rate=1e-3,
                    validation_datasets=f"[{validation}]", evaluation_strategy="epoch", save_strategy="steps", save_steps=40,
                    save_total_limit=2)
    run("lockstep-prep", job)
    return job


class Running:
    """A training that sbatch was asked for; `output` is its output_dir."""

    def __init__(self, cluster, job, name, *options, overrides=(), nodes=2, **environment):
        self.cluster = cluster
        self.output = job.parent / name
        self.log = job.parent / f"{name}.log"
        self.number = cluster.submit(f"--nodes={nodes}", "--cpus-per-task=1", f"--output={self.log}", *options, SLURM / "train.sbatch", job,
                                     f"output_dir={self.output}", *overrides,
                                     **{"LOCKSTEP_BIN": str(BIN), "OMP_NUM_THREADS": "1", **environment})

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def explain(self):
        return f"{self.text()}\n{self.cluster.logs()}"

    def lines(self):
        """What metrics.jsonl has completely."""
        metrics = self.output / "metrics.jsonl"
        return metrics.read_bytes().count(b"\n") if metrics.exists() else 0

    def wait_for_lines(self, count):
        wait_until(lambda: self.lines() >= count, 60, self.explain)

    def wait_for_text(self, *words, seconds=60):
        wait_until(lambda: all(word in self.text() for word in words), seconds, self.explain)

    def starts(self):
        return len(re.findall(r"requeued \d+ times: ", self.text()))

    def ends_as(self, state, seconds=60):
        """The last line of its log."""
        try:
            self.cluster.wait_for(self.number, state, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from None
        return self.text().splitlines()[-1]

    def ranks(self):
        """The processes of its ranks, on all nodes."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if pathlib.Path(f"/proc/{name}/comm").read_text() == "lockstep\n" and \
                        f"SLURM_JOB_ID={self.number}\0".encode() in pathlib.Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
            except OSError:
                continue  # it has ended
        return found


def result_of(folder):
    """What must be the same bits."""
    metrics = [{key: value for key, value in line.items() if key not in TIMINGS} for line in read_lines(folder / "metrics.jsonl")]
    return (folder / "model.safetensors").read_bytes(), metrics


@pytest.fixture(scope="module")
def undisturbed(cluster, workplace):
    running = Running(cluster, workplace, "undisturbed")
    running.ends_as("COMPLETED")
    assert "on 2 ranks" in running.text()
    weights, metrics = result_of(running.output)
    assert [line["event"] for line in metrics].count("step") == STEPS
    assert [line["event"] for line in metrics].count("evaluation") == EVALUATIONS
    return weights, metrics


def assert_came_back(running, undisturbed, starts=2, seconds=60):
    running.ends_as("COMPLETED", seconds=seconds)
    assert running.starts() == starts, running.text()
    weights, metrics = result_of(running.output)
    assert metrics == undisturbed[1]
    assert weights == undisturbed[0]


@pytest.mark.parametrize("how", [["scancel", "--signal=TERM"], ["scancel", "--batch", "--signal=TERM"], ["scontrol", "requeue"]], ids=" ".join)
def test_stopped_while_it_trains(how, cluster, workplace, undisturbed):
    running = Running(cluster, workplace, re.sub("[^a-z]+", "-", " ".join(how).lower()))
    running.wait_for_lines(50)
    cluster.run(*how, running.number)
    assert_came_back(running, undisturbed)
    assert "checkpoint-" in running.text()


@pytest.mark.parametrize("partition", ["all", "spare"])
def test_preempted_by_a_job_of_a_higher_partition(partition, cluster, workplace, undisturbed):
    """all: Slurm requeues it. spare: Slurm sends SIGTERM, and would cancel it 20 seconds later."""
    running = Running(cluster, workplace, f"preempted-{partition}", f"--partition={partition}")
    running.wait_for_lines(50)
    urgent = cluster.submit("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    cluster.wait_for(urgent, "COMPLETED")
    assert_came_back(running, undisturbed)


def test_requeued_while_it_evaluates(cluster, workplace, undisturbed):
    running = Running(cluster, workplace, "evaluation")
    before = STEPS // EVALUATIONS
    running.wait_for_lines(before)
    cluster.run("scontrol", "requeue", running.number)
    assert running.lines() == before, "too late: the evaluation is over"
    assert_came_back(running, undisturbed)


def test_stopped_by_its_time_limit(cluster, workplace, undisturbed):
    """Slurm counts in minutes, and looks twice in one: ranks that stand still do not run ahead of it."""
    running = Running(cluster, workplace, "limit", "--time=1", "--signal=B:USR1@50")
    running.wait_for_lines(20)
    ranks = running.ranks()
    assert len(ranks) == 2
    for pid in ranks:
        os.kill(pid, signal.SIGSTOP)
    running.wait_for_text("told to stop")
    for pid in ranks:
        os.kill(pid, signal.SIGCONT)
    assert_came_back(running, undisturbed)


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_a_node_that_is_killed(node, cluster, workplace, undisturbed):
    """n1 runs the script, too."""
    running = Running(cluster, workplace, f"killed-{node}")
    running.wait_for_lines(60)
    cluster.kill_node(node)
    try:
        if node == "n2":  # as a site's own watch over its nodes does, earlier than Slurm
            cluster.run("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=dead")
        wait_until(lambda: cluster.state_of(running.number) == "PENDING", 60, running.explain)
    finally:
        cluster.start_node(node)
    assert_came_back(running, undisturbed)


def test_an_array_of_three(cluster, workplace):
    """Each task has overrides of its own; only the one that is stopped comes back."""
    rates = {1: "1e-3", 2: "5e-4", 3: "'2e-4'"}
    folders = {task: workplace.parent / f"sweep {task}" for task in rates}
    sweep = workplace.parent / "sweep.txt"
    sweep.write_text("".join(f"learning_rate={rate} output_dir='{folders[task]}'\n" for task, rate in rates.items()))
    log = workplace.parent / "sweep-%a.log"
    number = cluster.submit("--array=1-3", "--cpus-per-task=1", f"--output={log}", SLURM / "train.sbatch", workplace, f"@{sweep}", "max_steps=100",
                            "evaluation_strategy=no", LOCKSTEP_BIN=str(BIN), OMP_NUM_THREADS="1")

    def text(task):
        path = workplace.parent / f"sweep-{task}.log"
        return path.read_text() if path.exists() else ""

    metrics = folders[3] / "metrics.jsonl"  # its number is that of the whole array
    wait_until(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 10, 60, lambda: text(3) + cluster.logs())
    cluster.run("scancel", "--signal=TERM", f"{number}_3")
    wait_until(lambda: set(cluster.state_of(number).split()) == {"COMPLETED"}, 90, lambda: "\n".join(map(text, rates)))
    said = "\n".join(map(text, rates))
    assert [len(re.findall(r"requeued \d+ times: ", text(task))) for task in rates] == [1, 1, 2], said
    assert [text(task).count("stopped; it is requeued") for task in rates] == [0, 0, 1], said
    for task, rate in rates.items():
        steps = read_lines(folders[task] / "metrics.jsonl")
        assert [line["step"] for line in steps] == list(range(1, 101))
        assert steps[0]["learning_rate"] == float(rate.strip("'"))
        assert (folders[task] / "model.safetensors").exists()


def test_prep_as_an_array_and_then_training(cluster, workplace, undisturbed):
    prepared, output = (workplace.parent / f"pipeline-{name}" for name in ["prepared", "result"])
    logs = workplace.parent / "pipeline-logs"
    logs.mkdir()
    options = f"--cpus-per-task=1 --output={logs}/%x-%j.log"
    said = cluster.run(SLURM / "pipeline.sh", "--prep", f"{options} --array=0-1", "--train", f"{options} --nodes=2", workplace, f"prepared_dir={prepared}",
                       f"output_dir={output}", "shard_text_bytes=4096", LOCKSTEP_BIN=str(BIN), OMP_NUM_THREADS="1").stdout
    prep, train = (int(re.search(rf"{name}: +job (\d+)", said).group(1)) for name in ["prep", "train"])
    cluster.wait_for(train, "COMPLETED", "FAILED", "CANCELLED")
    text = "\n".join(path.read_text() for path in sorted(logs.iterdir()))
    assert cluster.state_of(train) == "COMPLETED", text
    assert set(cluster.state_of(prep).split()) == {"COMPLETED"}
    assert result_of(output) == undisturbed
    assert len(list((prepared / "train").glob("shard-*.h5"))) > 2


def test_lockstep_submits(cluster, workplace, undisturbed):
    output, log = (workplace.parent / name for name in ["submitted", "submitted.log"])
    said = cluster.run(BIN / "lockstep", "submit", workplace, f"output_dir={output}", "--nodes", 2, "--gpus-per-node", 1, "--cpus-per-task", 1,
                       "--time", 10, "--job-name", "submitted", "--output", workplace.parent / "submitted.sbatch", "--submit",
                       SBATCH_OUTPUT=str(log), OMP_NUM_THREADS="1").stderr
    number = int(re.search(r"job (\d+)", said).group(1))
    cluster.wait_for(number, "COMPLETED", "FAILED")
    assert cluster.state_of(number) == "COMPLETED", log.read_text()
    assert result_of(output) == undisturbed
    assert re.search(r"TresPerNode=\S*gpu:1$", cluster.run("scontrol", "show", "job", number).stdout, re.MULTILINE)


def test_generate(cluster, workplace, undisturbed):
    answers, log = (workplace.parent / name for name in ["answers.jsonl", "generate.log"])
    rows = write_rows(workplace.parent / "questions.jsonl", example_rows("gpt2", 20, 3))
    options = ["--cpus-per-task=1", f"--output={log}", SLURM / "generate.sbatch", "--model", workplace.parent / "undisturbed",
               "--max-new-tokens", 3, "--output", answers, "--input"]
    cluster.wait_for(cluster.submit(*options, rows, LOCKSTEP_BIN=str(BIN)), "COMPLETED")
    assert len(read_lines(answers)) == 20
    cluster.wait_for(cluster.submit(*options, "absent.jsonl", LOCKSTEP_BIN=str(BIN)), "FAILED")
    last = log.read_text().splitlines()[-1]
    assert last.startswith("lockstep: error: ") and "absent.jsonl" in last


@pytest.mark.parametrize("options, arguments, words", [
    ([], [], ["expected a job file"]), ([], ["absent.yaml"], ["absent.yaml"]), ([], ["JOB", "@SWEEP"], ["--array=1-N"]),
    (["--array=1"], ["JOB"], ["@FILE"]), (["--array=7"], ["JOB", "@SWEEP"], ["line 7", "task 7"]), (["--array=2"], ["JOB", "@SWEEP"], ["line 2", "output_dir"])],
    ids=lambda value: " ".join(value))
def test_what_cannot_run_is_said_in_the_last_line(options, arguments, words, cluster, workplace, tmp_path):
    sweep = tmp_path / "sweep.txt"
    sweep.write_text("output_dir=a\nseed=1\n")
    arguments = [{"JOB": workplace, "@SWEEP": f"@{sweep}"}.get(argument, argument) for argument in arguments]
    number = cluster.submit("--cpus-per-task=1", f"--output={tmp_path / 'log'}", *options, SLURM / "train.sbatch", *arguments, LOCKSTEP_BIN=str(BIN))
    cluster.wait_for(number, "FAILED")
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.startswith("train.sbatch: error: ") and all(word in last for word in words), last


def test_a_failed_prep_cancels_the_training(cluster, workplace):
    said = cluster.run(SLURM / "pipeline.sh", "--prep", f"--cpus-per-task=1 --output={workplace.parent}/bad-prep.log", "--train", "--cpus-per-task=1", workplace,
                       "training_datasets=[absent.jsonl]", f"prepared_dir={workplace.parent / 'absent'}", LOCKSTEP_BIN=str(BIN)).stdout
    prep, train = (int(number) for number in re.findall(r"job (\d+)", said)[:2])
    cluster.wait_for(prep, "FAILED")
    cluster.wait_for(train, "CANCELLED")
    last = (workplace.parent / "bad-prep.log").read_text().splitlines()[-1]
    assert last.startswith("lockstep-prep: error: ") and "absent.jsonl" in last


def test_a_job_that_fails_says_why_in_its_last_line(cluster, workplace):
    running = Running(cluster, workplace, "failing", overrides=["prepared_dir=/absent"])
    last = running.ends_as("FAILED")
    assert re.match(r"lockstep: error: .*/absent", last), running.text()
    assert running.starts() == 1


def test_what_srun_refuses_is_in_the_last_line_too(cluster, workplace):
    assert "nonsense" in Running(cluster, workplace, "no-mpi", LOCKSTEP_MPI="nonsense").ends_as("FAILED")


def test_ranks_that_are_killed_leave_a_last_line_too(cluster, workplace):
    running = Running(cluster, workplace, "killed")
    running.wait_for_lines(5)
    for pid in running.ranks():
        os.kill(pid, signal.SIGKILL)
    assert "SIGKILL" in running.ends_as("FAILED"), running.text()


def test_a_rank_that_is_killed_is_no_stop(cluster, workplace):
    """srun ends the other by SIGTERM, whose number is higher."""
    running = Running(cluster, workplace, "one-killed")
    running.wait_for_lines(5)
    os.kill(running.ranks()[0], signal.SIGSEGV)
    running.ends_as("FAILED")
    assert running.starts() == 1, running.text()


@pytest.mark.parametrize("crashes", [1, 2])
def test_a_crash_before_a_word_is_tried_again_once(crashes, cluster, workplace, tmp_path):
    """As of Open MPI 4.1 in MPI_Init under Slurm's PMIx."""
    program = tmp_path / "lockstep"
    program.write_text(f"""#!/bin/sh
        for crash in $(seq {crashes}); do
          if [ "$SLURM_PROCID" = 0 ] && mkdir {tmp_path}/crash-$crash 2>/dev/null; then kill -SEGV $$; fi
        done
        exec {BIN}/lockstep "$@"
        """)
    program.chmod(0o755)
    running = Running(cluster, workplace, f"crash-{crashes}", overrides=["max_steps=5"], LOCKSTEP_BIN=str(tmp_path))
    last = running.ends_as("COMPLETED" if crashes == 1 else "FAILED")
    assert running.text().count("could not be launched") == 1, running.text()
    assert crashes == 1 or "Segmentation fault" in last, running.text()


def test_no_more_requeues_than_allowed(cluster, workplace):
    running = Running(cluster, workplace, "cap", LOCKSTEP_MAX_REQUEUES="1")
    running.wait_for_lines(5)
    cluster.run("scancel", "--signal=TERM", running.number)
    running.wait_for_text("resuming from")
    cluster.run("scancel", "--signal=TERM", running.number)
    last = running.ends_as("FAILED")
    assert "LOCKSTEP_MAX_REQUEUES" in last and running.starts() == 2, running.text()


def test_a_stop_file_ends_the_job(cluster, workplace):
    """And the same command goes on."""
    running = Running(cluster, workplace, "stop")
    running.wait_for_lines(5)
    (running.output / "STOP").touch()
    assert "STOP" in running.ends_as("FAILED") and running.starts() == 1, running.text()
    begun = running.lines()
    again = Running(cluster, workplace, "stop")
    again.wait_for_lines(begun + 1)
    cluster.run("scancel", again.number)
    again.ends_as("CANCELLED")
    assert "resum" in again.text().lower(), again.text()


def test_a_cancelled_job_stays_cancelled(cluster, workplace):
    running = Running(cluster, workplace, "cancelled")
    running.wait_for_lines(5)
    cluster.run("scancel", running.number)
    running.ends_as("CANCELLED")
    wait_until(cluster.all_idle, 30, running.explain)
    assert cluster.state_of(running.number) == "CANCELLED", running.text()
