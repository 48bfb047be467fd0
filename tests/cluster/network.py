"""Ranks on two hosts: their network fails, and the job ends in time, on both hosts, with one message; or they are asked to stop."""

import signal

import pytest
import two_hosts
from long_job import TIMEOUT, LongJob, wait_until, write_long_job
from two_hosts import NAMES, TwoHosts

pytestmark = pytest.mark.skipif(two_hosts.why_not() is not None, reason=str(two_hosts.why_not()))


@pytest.fixture
def hosts(tmp_path):
    with TwoHosts(tmp_path) as hosts:
        yield hosts


@pytest.mark.parametrize("sharding", ["none", "state"])
@pytest.mark.parametrize("side", NAMES)
def test_a_network_that_is_cut_ends_the_job_on_both_hosts(hosts, side, sharding, tmp_path):
    with LongJob(write_long_job(tmp_path, optimizer_sharding=sharding), hosts.mpirun()) as running:
        running.wait_for_steps()
        assert all(hosts.processes(name) for name in NAMES)
        hosts.cut(side)
        # What the other rank says cannot arrive.
        running.assert_ends_with_one_error(f"rank 0 on {NAMES[0]}: step ", f"collective_timeout_s: {TIMEOUT}", "cannot be reached")
        wait_until(lambda: not any(hosts.processes(name) for name in NAMES), 1, lambda: str(list(map(hosts.processes, NAMES))))


def test_a_request_to_stop_reaches_both_hosts(hosts, tmp_path):
    with LongJob(write_long_job(tmp_path), hosts.mpirun()) as running:
        running.wait_for_steps()
        running.launcher.send_signal(signal.SIGTERM)
        assert running.launcher.wait(timeout=20) == 85, running.stderr()
        assert "SIGUSR1 on " in running.stderr() and "is saved" in running.stderr()
        wait_until(lambda: not any(hosts.processes(name) for name in NAMES), 5, lambda: str(list(map(hosts.processes, NAMES))))
