"""`lockstep doctor`: what it shows against what the system itself tells, and its advice on faults that are provoked."""

import os
import re
import resource
import socket
import subprocess

import pytest
import torch
from conftest import BIN, ROOT, example_rows, random_model, run, write_rows

CORES = sorted(os.sched_getaffinity(0))
QUICK = ["--sizes", "4KB,1MB", "--seconds", "0.01"]


def doctor(*options, ranks=None, prefix=(), cwd=None, **environment):
    """Its output, after its exit code was compared with whether it gives advice."""
    command = [*prefix, BIN / "lockstep", "doctor", *(options or QUICK)]
    if ranks is not None:
        command = [*prefix, ROOT / "launch" / "mpirun.sh", "-n", str(ranks), *command[len(prefix):]]
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS" and not name.startswith("SLURM_")}
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, cwd=cwd,
                              env={**kept, **environment})
    has_advice = "\nadvice:\n" in finished.stdout
    assert has_advice != ("\nnothing is wrong\n" in finished.stdout), finished.stdout + finished.stderr
    assert finished.returncode == (1 if has_advice else 0), finished.stdout + finished.stderr
    return finished.stdout


def advice_of(output):
    return [line[2:] for line in output.partition("\nadvice:\n")[2].splitlines()]


def ranks_of(output):
    """The lines of ranks: number, host, cores, threads, lockable, clock."""
    lines = output.splitlines()
    assert lines[0].split() == ["rank", "host", "cores", "threads", "lockable", "clock"]
    return [re.split(r"\s{2,}", line.strip()) for line in lines[1:lines.index("")]]


def cores_of(text):
    """The numbers of "0-2,5"."""
    cores = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        cores += range(int(first), int(last or first) + 1)
    return cores


def in_bytes(text):
    number, unit = text.split()
    return float(number) * 1024 ** ["B", "KiB", "MiB", "GiB", "TiB"].index(unit)


@pytest.mark.parametrize("ranks", [None, 1, 3])
def test_facts_are_those_of_the_system(ranks, tmp_path):
    output = doctor(ranks=ranks, cwd=tmp_path)
    found = ranks_of(output)
    assert [int(line[0]) for line in found] == list(range(ranks or 1))
    lockable = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    for _, host, cores, threads, memory, clock in found:
        assert host == socket.gethostname()
        assert cores_of(cores) == CORES
        assert int(threads) == max(1, len(CORES) // (ranks or 1))
        assert memory == "unlimited" if lockable == -1 else in_bytes(memory) == pytest.approx(lockable, rel=1e-3)
        assert abs(float(clock.removesuffix(" s"))) < 0.2
    assert f"{os.sysconf('SC_NPROCESSORS_ONLN')} core" in output

    shared = os.statvfs("/dev/shm")
    total, free = re.search(r"/dev/shm: (.*), (.*) of it free", output).groups()
    assert in_bytes(total) == pytest.approx(shared.f_blocks * shared.f_frsize, rel=1e-3)
    assert in_bytes(free) == pytest.approx(shared.f_bavail * shared.f_frsize, rel=0.05)
    assert f"  {tmp_path}: file locks work; HDF5_USE_FILE_LOCKING not set" in output
    assert list(tmp_path.iterdir()) == []

    up = {name for name in os.listdir("/sys/class/net") if name != "lo"
          and open(f"/sys/class/net/{name}/operstate").read().strip() == "up"}
    assert up <= set(re.findall(r"  network (\S+):", output))
    assert f"LibTorch {torch.__version__.partition('+')[0]}, MPI Open MPI" in output
    versions = re.search(r"^lockstep \d.*$", output, re.MULTILINE)[0]
    assert versions.split(", ") == run("lockstep", "--version").stdout.splitlines()
    fits = (ranks or 1) <= len(CORES)
    assert any("for which they compete" in line for line in advice_of(output)) != fits


@pytest.mark.parametrize("ranks", [2, 3])
def test_bandwidth_is_that_of_nccl_tests(ranks):
    output = doctor("--sizes", "64KB,1.5MB,8MB", "--seconds", "0.05", ranks=ranks)
    found = re.findall(r"^ +(\d+) +([\d.]+) ms +([\d.]+) GB/s$", output, re.MULTILINE)
    assert [int(size) for size, _, _ in found] == [64_000, 1_500_000, 8_000_000]
    for size, milliseconds, bandwidth in found:
        expected = int(size) / float(milliseconds) / 1e6 * 2 * (ranks - 1) / ranks
        rounding = 0.0005 / float(milliseconds)
        assert float(bandwidth) == pytest.approx(expected, rel=rounding + 1e-3, abs=2e-3)
    assert "all-reduce" not in doctor()


def test_ranks_on_one_core():
    core = CORES[-1]
    output = doctor(ranks=3, prefix=["taskset", "-c", core])
    assert all(cores_of(line[2]) == [core] for line in ranks_of(output))
    advice = advice_of(output)
    assert len(advice) == 1
    if os.sysconf("SC_NPROCESSORS_ONLN") > 1:
        assert f"all 3 ranks may use only core {core}" in advice[0] and "--bind-to none" in advice[0]


@pytest.mark.skipif(len(CORES) < 2, reason="mpirun has one core, and nothing to bind")
def test_ranks_that_mpirun_binds():
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "core", "-n", "1", BIN / "lockstep", "doctor"]
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    bound = cores_of(ranks_of(finished.stdout)[0][2])
    assert len(bound) < len(CORES)
    assert any(f"mpirun may use {len(CORES)} cores, but binds its ranks to {len(bound)}" in line for line in advice_of(finished.stdout))


def test_threads_of_the_environment():
    output = doctor(OMP_NUM_THREADS="1")
    assert ranks_of(output)[0][3] == "1" and "OMP_NUM_THREADS 1\n" in output
    output = doctor(ranks=2, OMP_NUM_THREADS=str(len(CORES)))
    assert [line[3] for line in ranks_of(output)] == 2 * [str(len(CORES))]
    assert [f"2 ranks compute with {2 * len(CORES)} threads on {len(CORES)} core" in line for line in advice_of(output)] == [True]


def test_a_limit_of_locked_memory():
    output = doctor(prefix=["sh", "-c", 'ulimit -l 64; exec "$@"', "sh"])
    assert ranks_of(output)[0][4] == "64 KiB"
    has_infiniband = os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband")
    assert has_infiniband or advice_of(output) == []


def test_tasks_of_slurm_that_run_alone():
    advice = advice_of(doctor(SLURM_NTASKS="4"))
    assert len(advice) == 1 and "Slurm has 4 tasks" in advice[0] and "srun --mpi=pmix" in advice[0]
    assert advice_of(doctor(SLURM_NTASKS="1")) == []
    cores = len(CORES) + 3
    advice = advice_of(doctor(SLURM_NTASKS="1", SLURM_CPUS_PER_TASK=str(cores)))
    assert len(advice) == 1 and f"may use {len(CORES)} of the {cores} cores" in advice[0]


@pytest.mark.skipif(os.geteuid() != 0 or not os.access("/proc/self/ns/mnt", os.R_OK), reason="needs root, to mount")
def test_a_small_shared_memory_and_a_folder_without_files(tmp_path):
    """In a mount namespace of its own."""
    script = 'mount -t tmpfs -o size=3m tmpfs /dev/shm && mount -t tmpfs -o ro tmpfs "$1" && cd "$1" && shift && exec "$@"'
    unshare = ["unshare", "-m", "sh", "-c", script, "sh", tmp_path]
    if subprocess.run([*map(str, unshare), "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted")
    output = doctor(prefix=unshare)
    advice = advice_of(output)
    assert any("/dev/shm has 3 MiB free of 3" in line for line in advice), output
    assert any(f"flock does not work in {tmp_path} (no file can be made: Read-only file system)" in line for line in advice)
    assert len(advice) == 3  # of fcntl, too


@pytest.mark.parametrize("ranks", [1, 3])
def test_two_holders_of_a_lock(ranks, tmp_path):
    """Where locks are kept on each host alone, as NFS does with `nolock`, ranks of two hosts hold the same one; here, a
    library that takes locks for granted plays this."""
    source = tmp_path / "locks.c"
    source.write_text("int flock(int d, int o) { (void)d; (void)o; return 0; }\n")
    library = tmp_path / "locks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    output = doctor(ranks=ranks, LD_PRELOAD=str(library), cwd=tmp_path)
    told = [line for line in advice_of(output) if "two ranks hold the same lock" in line]
    assert len(told) == (0 if ranks == 1 else 1), output
    if told:
        assert told[0].startswith("rank 1 on ") and "(and 1 more rank)" in told[0]


def test_options():
    refused = run("lockstep", "doctor", "--sizes", "4 parsecs", check=False)
    assert refused.returncode == 1 and refused.stderr.startswith("lockstep: error: --sizes: ")


def test_training_warns_once_of_too_many_threads(tmp_path):
    random_model("gpt2", tmp_path / "model", 1)
    rows = write_rows(tmp_path / "rows.jsonl", example_rows("gpt2", 4, 1))
    threads = len(CORES)
    for ranks, expected in ((1, 0), (3, 1)):
        found = run("lockstep", "evaluate", "--model", tmp_path / "model", "--dataset", rows, "--output", tmp_path / "losses",
                    ranks=ranks, OMP_NUM_THREADS=str(threads)).stderr
        assert found.count("for which they compete") == expected, found
        if expected:
            assert f"{socket.gethostname()}: 3 ranks compute with {3 * threads} threads on {len(CORES)} core" in found
