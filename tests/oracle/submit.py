"""lockstep submit: the script that it writes, and what it refuses. sbatch is a stand-in; tests/cluster/preemption.py has a real one."""

import os
import re
import subprocess

import pytest
from conftest import EXAMPLE_MODELS, ROOT, run, write_rows

SCRIPT = (ROOT / "slurm" / "train.sbatch").read_text()


@pytest.fixture
def job(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [{"model_input": "a", "model_output": "b"}])
    path = tmp_path / "my job.yaml"
    path.write_text(f"pretrained_model_name: {EXAMPLE_MODELS['gpt2']}\nhas_encoder: false\ntraining_datasets: [{tmp_path / 'rows.jsonl'}]\n"
                    f"output_dir: {tmp_path / 'result'}\n")
    return path


def submit(job, *arguments, check=True, path=None):
    environment = {"PATH": f"{path}:{os.environ['PATH']}"} if path else {}
    return run("lockstep", "submit", job, *arguments, check=check, cwd=job.parent, **environment)


def options_of(script):
    return dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S*))?$", script, re.MULTILINE))


def shell_is_content(path):
    subprocess.run(["bash", "-n", path], check=True)
    checked = subprocess.run(["shellcheck", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_script_is_the_shipped_one_with_other_options_and_the_job(job):
    said = submit(job, "learning_rate=1e-3", "prompt_template=it's {model_input}", "--nodes", 3, "--gpus-per-node", 4, "--time", "1-12",
                  "--partition", "gpu", "--account", "mine", "--job-name", "run", "--cpus-per-task", 5)
    path = job.parent / "my job.sbatch"
    script = path.read_text()
    assert said.stdout == script and "sbatch 'my job.sbatch'" in said.stderr
    shell_is_content(path)
    assert os.access(path, os.X_OK) and "Usage:" in subprocess.run([path, "--help"], capture_output=True, text=True, check=True).stdout
    expected = {**options_of(SCRIPT), "nodes": "3", "ntasks-per-node": "4", "gpus-per-node": "4", "cpus-per-task": "5", "time": "1-12",
                "partition": "gpu", "account": "mine", "job-name": "run"}
    assert options_of(script) == expected
    assert "requeue" in expected and expected["signal"] == "B:USR1@120" and expected["open-mode"] == "append"
    arguments = re.search(r"^set -- (.*) \"\$@\"$", script, re.MULTILINE).group(1)
    words = subprocess.run(["bash", "-c", f"printf '%s\\n' {arguments}"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert words == [str(job), "learning_rate=1e-3", "prompt_template=it's {model_input}"]

    def rest(text):
        return [line for line in text.splitlines() if not re.match(r"##?SBATCH|set -- |export LOCKSTEP_BIN=|# (Made by|Here) lockstep submit", line)]

    assert rest(script) == rest(SCRIPT)


@pytest.mark.parametrize("time, seconds", [("4", 60), ("4:00", 60), ("0:02:00", 30), ("1", 30), ("0-0:03:00", 45), ("2:00:00", 120),
                                           ("3-0", 120), ("UNLIMITED", 120)])
def test_the_signal_leaves_time_to_train(time, seconds, job):
    assert options_of(submit(job, "--time", time).stdout)["signal"] == f"B:USR1@{seconds}"


def test_a_sweep(job):
    sweep = job.parent / "sweep.txt"
    sweep.write_text("learning_rate=1e-3 output_dir=a\nlearning_rate=1e-4 output_dir='b c'\n")
    script = submit(job, f"@{sweep}", "max_steps=5", "--time", "60").stdout
    assert options_of(script)["array"] == "1-2"
    assert options_of(submit(job, f"@{sweep}", "--time", "60", "--array", "2%1").stdout)["array"] == "2%1"
    for lines, words in [("learning_rate=1e-3\n", ["line 1", "output_dir"]),
                         ("output_dir=a\noutput_dir='a'\n", ["line 2", "a, which line 1 also has"]),
                         ("output_dir=a\noutput_dir=b learning_rat=1\n", ["line 2", "learning_rat", "learning_rate"]),
                         ("output_dir='a\n", ["line 1", "'"]), ("", ["found none"])]:
        sweep.write_text(lines)
        refused = submit(job, f"@{sweep}", "--time", "60", check=False)
        assert refused.returncode == 1 and refused.stderr.count("lockstep: error:") == 1
        assert all(word in refused.stderr for word in [sweep.name, *words]), refused.stderr
    assert "@FILE" in submit(job, "--array", "1-3", "--time", "60", check=False).stderr


@pytest.mark.parametrize("arguments, words", [
    (["--time", "1h"], ["--time", "1h", "HOURS:MINUTES:SECONDS"]), (["--time", "0"], ["--time"]), (["--time", "1:2:3:4"], ["--time"]),
    (["--time", "1-"], ["--time"]), (["--nodes", "0", "--time", "60"], ["--nodes"]), ([], ["--time"]),
    (["learning_rat=1", "--time", "60"], ["learning_rat", "learning_rate"]), (["--partition", "a b", "--time", "60"], ["--partition", "a b"])])
def test_what_is_wrong_is_refused_before_a_script_is_written(arguments, words, job):
    refused = submit(job, *arguments, check=False)
    assert refused.returncode == 1 and all(word in refused.stderr for word in words), refused.stderr
    assert not list(job.parent.glob("*.sbatch"))


def test_only_its_own_scripts_are_replaced(job):
    other = job.parent / "other.sbatch"
    other.write_text("#!/bin/sh\n")
    refused = submit(job, "--time", "60", "--output", other, check=False)
    assert refused.returncode == 1 and str(other) in refused.stderr and "--output" in refused.stderr
    assert other.read_text() == "#!/bin/sh\n"
    for nodes in [1, 2]:
        submit(job, "--time", "60", "--nodes", nodes)
    assert options_of((job.parent / "my job.sbatch").read_text())["nodes"] == "2"


def test_sbatch_is_called_on_request_alone(job, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    stand_in = folder / "sbatch"
    stand_in.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> {tmp_path / 'called'}\necho '17;cluster'\n")
    stand_in.chmod(0o755)
    submit(job, "--time", "60", path=folder)
    assert not (tmp_path / "called").exists()
    assert "job 17\n" in submit(job, "--time", "60", "--submit", path=folder).stderr
    assert (tmp_path / "called").read_text().splitlines() == ["--parsable", "my job.sbatch"]
    stand_in.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    refused = submit(job, "--time", "60", "--submit", path=folder, check=False)
    assert refused.returncode == 1 and "invalid partition" in refused.stderr
    stand_in.write_text("#!/bin/sh\nexit 127\n")  # as where there is none
    refused = submit(job, "--time", "60", "--submit", path=folder, check=False)
    assert refused.returncode == 1 and "login node" in refused.stderr
