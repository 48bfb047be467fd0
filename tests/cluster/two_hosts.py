"""Two network namespaces joined by a veth pair, which stand for two hosts: for tests of failing networks and slow ones."""

import os
import pathlib
import shlex
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("lockstep-a", "lockstep-b")
ADDRESSES = ("10.213.7.1", "10.213.7.2")
DEVICES = ("lockstep-veth-a", "lockstep-veth-b")
SUBNET = "10.213.7.0/24"


def sh(command):
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout


def why_not():
    """Why this machine cannot have them; None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "ip not found: launch/setup.sh installs iproute2"
    probe = "lockstep-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", probe], capture_output=True)
    return None if made.returncode == 0 else f"this machine does not allow network namespaces: {made.stderr.strip()}"


class TwoHosts:
    """A context: the hosts, named and addressed as above, are there inside, and everything that runs in them is killed behind.

    `folder` takes the files that mpirun reads.
    """

    def __init__(self, folder):
        self.hosts = pathlib.Path(folder) / "hosts"
        self.agent = pathlib.Path(folder) / "reach"

    def __enter__(self):
        self.remove()  # what a killed process left behind
        try:
            for name in NAMES:
                sh(f"ip netns add {name}")
            sh(f"ip link add {DEVICES[0]} netns {NAMES[0]} type veth peer name {DEVICES[1]} netns {NAMES[1]}")
            for name, address, device in zip(NAMES, ADDRESSES, DEVICES):
                sh(f"ip -n {name} addr add {address}/24 dev {device}")
                sh(f"ip -n {name} link set {device} up && ip -n {name} link set lo up")
        except BaseException:
            self.remove()
            raise
        self.hosts.write_text("".join(f"{address} slots=1\n" for address in ADDRESSES))
        # HOST COMMAND...: what mpirun calls instead of ssh
        self.agent.write_text(f"#!/bin/sh\nshift\nexec {shlex.join(self.within(NAMES[1]))} sh -c \"$*\"\n")
        self.agent.chmod(0o755)
        return self

    def __exit__(self, *_):
        self.remove()

    @staticmethod
    def remove():
        for name in NAMES:
            TwoHosts.kill(name)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    @staticmethod
    def processes(name):
        """The ids of all that run on a host."""
        found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        return [pid for pid in found if pathlib.Path(f"/proc/{pid}/cmdline").exists()]

    @staticmethod
    def kill(name):
        """All that runs on a host."""
        if pids := TwoHosts.processes(name):
            subprocess.run(["kill", "-KILL", *pids], capture_output=True)

    @staticmethod
    def within(name):
        """What a command on a host begins with; its hostname is the host's."""
        return ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]

    def mpirun(self):
        """What a command of two ranks begins with, one on each host, started from the first."""
        return [*self.within(NAMES[0]), ROOT / "launch" / "mpirun.sh", "--hostfile", self.hosts, *("--mca", "plm_rsh_agent", self.agent), *("--mca", "btl", "tcp,self"), *("--mca", "btl_tcp_if_include", SUBNET),
                *("--mca", "oob_tcp_if_include", SUBNET), "-n", "2"]

    @staticmethod
    def limit(bytes_per_second):
        """The bandwidth of the link, both ways."""
        for name, device in zip(NAMES, DEVICES):
            sh(f"ip netns exec {name} tc qdisc replace dev {device} root tbf rate {int(bytes_per_second * 8)}bit burst 512kb latency 200ms")

    @staticmethod
    def unlimit():
        for name, device in zip(NAMES, DEVICES):
            subprocess.run(["ip", "netns", "exec", name, "tc", "qdisc", "del", "dev", device, "root"], capture_output=True)

    @staticmethod
    def cut(name):
        """Takes the link down at one of the hosts: neither reaches the other, and none is told."""
        sh(f"ip -n {name} link set {DEVICES[NAMES.index(name)]} down")
