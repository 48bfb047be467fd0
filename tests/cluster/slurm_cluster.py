"""A Slurm of several nodes on this machine: munged, slurmctld, and a slurmd a node, with a configuration of their own."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from long_job import wait_until

CORES = 2  # of each node, whatever the machine has
NODE_TIMEOUT_S = 10  # after which a node that does not answer is down
CREDENTIAL_S = 5  # of a step; a job that is requeued waits for as long before it starts again
PROGRAMS = ["munged", "slurmctld", "slurmd", "srun", "sbatch", "unshare", "mount"]


def why_not():
    """Why this machine cannot run one; None if it can."""
    if os.geteuid() != 0:
        return "daemons and mounts of a Slurm need root"
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return f"{', '.join(missing)} not found: launch/setup.sh installs the packages of launch/debian-packages-test.txt"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        return "this machine does not allow mount namespaces"
    return None


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class SlurmCluster:
    """A context: its nodes are idle inside, and every process of it is gone behind.

    `environment` is what Slurm's commands need to speak to it. `settings` and `partitions` are further lines of slurm.conf. Each node has
    `gpus` of Slurm's, behind which there are none. A node that is
    killed by `kill_node()` is down after NODE_TIMEOUT_S, and comes back by `start_node()`.
    """

    def __init__(self, nodes=("n1", "n2"), settings=(), partitions=(), gpus=0):
        self.nodes = list(nodes)
        # munged's socket has a short name, in a folder that all may enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-slurm-"))
        self.folder.chmod(0o755)
        of_no_slurm = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        self.environment = {**of_no_slurm, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self.daemons = {}
        self.configure(settings, partitions, gpus)

    def __enter__(self):
        try:
            self.start_daemon("munged", "munged", "--foreground", "--force", "--num-threads=2", f"--socket={self.folder / 'munge'}",
                              f"--key-file={self.folder / 'key'}", f"--pid-file={self.folder / 'munged.pid'}",
                              f"--log-file={self.folder / 'munged.log'}", f"--seed-file={self.folder / 'seed'}")
            wait_until((self.folder / "munge").exists, 10, self.logs)
            self.start_daemon("slurmctld", "slurmctld", "-D", "-i")
            for node in self.nodes:
                self.start_node(node)
            wait_until(self.all_idle, 30, self.logs)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def configure(self, settings, partitions, gpus):
        (self.folder / "key").write_bytes(os.urandom(128))
        (self.folder / "key").chmod(0o400)
        for name in ["state", *self.nodes, *(f"pmix-{node}" for node in self.nodes), "pmix"]:
            (self.folder / name).mkdir()
        host = socket.gethostname()
        controller, *ports = free_ports(1 + len(self.nodes))
        lines = ["ClusterName=lockstep", f"SlurmctldHost={host}(127.0.0.1)", f"SlurmctldPort={controller}",
                 "SlurmUser=root", "SlurmdUser=root", "AuthType=auth/munge", f"AuthInfo=socket={self.folder / 'munge'},cred_expire={CREDENTIAL_S}",
                 f"StateSaveLocation={self.folder / 'state'}", f"SlurmdSpoolDir={self.folder}/%n",
                 f"SlurmctldPidFile={self.folder / 'slurmctld.pid'}", f"SlurmdPidFile={self.folder}/%n.pid",
                 # None of cgroups, which containers do not have.
                 "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "JobAcctGatherType=jobacct_gather/none",
                 "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core", "ReturnToService=2",
                 "SlurmdParameters=config_overrides", "KillWait=5", "InactiveLimit=0", "MinJobAge=300",
                 "SchedulerParameters=sched_interval=1,bf_interval=1",
                 f"SlurmdTimeout={NODE_TIMEOUT_S}",
                 *settings]
        gres = ""
        if gpus > 0:
            gres = f" Gres=gpu:{gpus}"
            lines += ["GresTypes=gpu"]
            (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{gpus - 1}]\n")
            for number in range(gpus):
                (self.folder / f"gpu{number}").touch()
        lines += [f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CORES}{gres}"
                  for node, port in zip(self.nodes, ports)]
        lines += [f"PartitionName=all Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE State=UP", *partitions]
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "mpi.conf").write_text(f"PMIxCliTmpDirBase={self.folder / 'pmix'}\n")

    def start_daemon(self, name, *command):
        output = open(self.folder / f"{name}.out", "ab")
        self.daemons[name] = subprocess.Popen(list(map(str, command)), env=self.environment, stdin=subprocess.DEVNULL, stdout=output,
                                              stderr=output, start_new_session=True)

    def start_node(self, node):
        """Each slurmd sees a folder of its own where PMIx expects one a host."""
        mount = f"mount --bind {self.folder / f'pmix-{node}'} {self.folder / 'pmix'} && exec slurmd -D -N {node}"
        self.start_daemon(node, "unshare", "--mount", "sh", "-c", mount)

    def kill_node(self, node):
        """As if its machine lost power: slurmd, the steps' daemons and what they started."""
        for pid in self.processes_of(node):
            os.kill(pid, signal.SIGKILL)
        self.daemons.pop(node).wait()

    def processes_of(self, daemon):
        """All that it started, however far down, it itself last. They share no session, but its mounts or its folder."""
        process = self.daemons[daemon]
        if process.poll() is not None:
            return []
        of_daemon = os.readlink(f"/proc/{process.pid}/ns/mnt")
        own = os.readlink("/proc/self/ns/mnt")
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if of_daemon != own and os.readlink(f"/proc/{name}/ns/mnt") == of_daemon and int(name) != process.pid:
                    found.append(int(name))
            except OSError:
                continue  # it has ended
        return [*found, process.pid]

    def stop(self):
        for daemon in reversed(list(self.daemons)):
            for pid in self.processes_of(daemon):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.daemons.pop(daemon).wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command, check=True, timeout=60, **environment):
        """One of Slurm's commands, or a script that calls them."""
        finished = subprocess.run(list(map(str, command)), env={**self.environment, **environment}, capture_output=True, text=True,
                                  timeout=timeout)
        if check and finished.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}\nexit code {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
                                 f"\n{self.logs()}")
        return finished

    def all_idle(self):
        states = self.run("sinfo", "--noheader", "--Node", "--partition=all", "--format=%T", check=False).stdout.split()
        return states == ["idle"] * len(self.nodes)

    def submit(self, *arguments, **environment):
        """Calls sbatch; the job's number."""
        return int(self.run("sbatch", "--parsable", *arguments, **environment).stdout.strip().split(";")[0])

    def state_of(self, job):
        """As squeue tells it, for MinJobAge after its end, too: PENDING, RUNNING, COMPLETED, FAILED, ..."""
        return self.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").stdout.strip()

    def wait_for(self, job, *states, seconds=60):
        wait_until(lambda: self.state_of(job) in states, seconds,
                   lambda: f"job {job}: expected {' or '.join(states)}, found {self.state_of(job)}\n{self.logs()}")

    def logs(self):
        """The ends of what the daemons wrote."""
        return "\n".join(f"--- {path.name}\n" + "".join(path.read_text(errors="replace").splitlines(keepends=True)[-15:])
                         for path in sorted(self.folder.glob("*.out")))
