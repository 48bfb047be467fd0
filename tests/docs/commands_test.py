"""Every command of README.md and docs/ works: each block of bash runs in a scratch folder laid out as the repository.

A block runs from the root of the repository, after those before it, README.md first. A comment right above it says so
where it does not:

    <!-- not run: REASON -->
    <!-- test: PATH -->        another test, in the file PATH, runs these commands
    <!-- fails -->             it runs, and must end with an error
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from markdown import ROOT, read_page, user_pages
from programs import BIN

BLOCKS = [block for page in user_pages() for block in page.blocks if block.language == "bash"]
TIMEOUT_S = 120
ROWS = 60  # of each dataset in the scratch folder
# What a block may not do to the machine that runs the tests.
NEVER_RUN = re.compile(r"apt-get|sudo|git clone|cmake|salloc|launch/(setup|build|test|quickstart|gpu_check)\.sh")

# Takes the place of Slurm's: checks what it is given, and names a job.
SBATCH = r"""#!/bin/bash
set -euo pipefail
while [[ ${1:-} == -* ]]; do shift; done
bash -n "$1"
for argument in "${@:2}"; do
  case $argument in
    *.yaml) test -f "$argument" ;;
    @*) test -f "${argument#@}" ;;
  esac
done
echo 4711
"""


HUB_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_into_hub_cache(model, home, name):
    """Lays a model's folder out as huggingface_hub does after a complete download."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / HUB_COMMIT
    shutil.copytree(model, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(HUB_COMMIT)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder with the repository's commands, data and a model that stands for the quickstart's."""
    root = tmp_path_factory.mktemp("lockstep")
    (root / "build").mkdir()
    (root / "build" / "bin").symlink_to(BIN)
    for folder in ["launch", "slurm", "bench", "docs"]:
        (root / folder).symlink_to(ROOT / folder)
    shutil.copytree(ROOT / "examples", root / "examples")
    for rows in (root / "examples" / "data").glob("*/*.jsonl"):
        rows.write_text("".join(rows.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS]), encoding="utf-8")
    (root / "lockstep").symlink_to(".")  # the checkout, in docs/slurm.md
    (root / "programs").mkdir()
    (root / "programs" / "sbatch").write_text(SBATCH)
    (root / "programs" / "sbatch").chmod(0o755)
    environment = {**os.environ, "PATH": f"{root / 'programs'}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1",
                   "HF_HOME": str(root / "huggingface"), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

    def run(script, timeout=TIMEOUT_S):
        return subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=root, env=environment, timeout=timeout,
                              capture_output=True, text=True)

    quickstart = ("examples/jobs/scan-t5.yaml training_datasets=[examples/data/scan/test.jsonl] validation_datasets=[] "
                  "evaluation_strategy=no max_steps=2")
    made = run(f"build/bin/lockstep-prep {quickstart} && build/bin/lockstep train {quickstart}")
    assert made.returncode == 0, made.stdout + made.stderr
    put_into_hub_cache(root / "build" / "quickstart" / "scan-t5" / "model", root / "huggingface", "google/flan-t5-small")
    shutil.copy(root / "examples" / "data" / "scan" / "test.jsonl", root / "test.jsonl")
    return root, run


def test_every_block_runs_or_says_why_not():
    """A reason is given for each that does not, and what is said to test it exists."""
    for block in BLOCKS:
        kind, text = block.directive or ("", "")
        if kind == "not run":
            assert text, f"{block.place}: expected a reason: <!-- not run: REASON -->"
        if kind == "test":
            assert (ROOT / text).is_file(), f"{block.place}: expected the file of a test, found {text}"
        if kind not in ("not run", "test"):
            found = NEVER_RUN.search(block.text)
            assert not found, f"{block.place}: {found[0]} may not run here: <!-- not run: REASON --> or <!-- test: PATH -->"


# One after the other, in the order of the pages: later blocks use what earlier ones made.
@pytest.mark.parametrize("block", [block for block in BLOCKS if (block.directive or ("",))[0] not in ("not run", "test")],
                         ids=lambda block: block.place)
def test_command(block, workplace):
    root, run = workplace
    assert not NEVER_RUN.search(block.text)
    make_job_of_slurm_pages(root)
    done = run(block.text)
    is_wrong = (done.returncode == 0) == (block.directive == ("fails", ""))
    assert not is_wrong, f"{block.place}: exit code {done.returncode}\n{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def make_job_of_slurm_pages(root):
    """job.yaml and sweep.txt, which docs/slurm.md and docs/clusters.md tell the reader to write."""
    job = root / "job.yaml"
    if not job.exists() and (root / "build" / "my-job.yaml").exists():
        shutil.copy(root / "build" / "my-job.yaml", job)
        page = read_page(ROOT / "docs" / "slurm.md")
        sweep = next(block.text for block in page.blocks if block.language == "text" and "output_dir=sweep/" in block.text)
        (root / "sweep.txt").write_text(sweep)


def test_python_blocks_run(workplace):
    """All in one process, which loads torch once."""
    root, _ = workplace
    blocks = [block for page in user_pages() for block in page.blocks if block.language == "python"]
    assert len(blocks) > 2
    program = "".join(f"print({block.place!r}, flush=True)\n{block.text}\n" for block in blocks)
    done = subprocess.run([sys.executable, "-c", program], cwd=root, timeout=TIMEOUT_S, capture_output=True, text=True,
                          env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]


def test_sample_job_of_readme_is_trained(workplace):
    """README's commands did what they say: a model, its card, metrics of each step."""
    root, _ = workplace
    lines = (root / "build" / "my-model" / "metrics.jsonl").read_text().splitlines()
    assert {json.loads(line)["event"] for line in lines} == {"step", "evaluation"}
    assert (root / "build" / "my-model" / "README.md").is_file()
