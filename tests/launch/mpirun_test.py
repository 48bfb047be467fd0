"""mpirun_test.py MPIRUN_SH: how launch/mpirun.sh stops ranks that take two seconds to save, or longer."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RANK = """#!/bin/bash
save() { echo told; sleep $(cat "$0.seconds"); echo saved; exit 85; }
trap save TERM USR1
trap '' INT
echo ready
while true; do sleep 0.05; done
"""


class Stopping(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.rank = pathlib.Path(folder.name) / "rank"
        self.rank.write_text(RANK)
        self.rank.chmod(0o755)
        self.save_within(2)
        self.log = pathlib.Path(folder.name) / "log"
        with open(self.log, "w") as log:
            self.launcher = subprocess.Popen([MPIRUN_SH, "-n", "2", self.rank], stdout=log, stderr=log, start_new_session=True)
        self.addCleanup(self.launcher.wait)
        self.addCleanup(self.launcher.kill)
        self.wait_for("ready", 2)

    def save_within(self, seconds):
        pathlib.Path(f"{self.rank}.seconds").write_text(str(seconds))

    def wait_until(self, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, self.log.read_text())
            time.sleep(0.05)

    def wait_for(self, word, count):
        self.wait_until(lambda: self.log.read_text().splitlines().count(word) == count, 60)

    def stop(self, *signals):
        """The exit code, and whether both ranks have saved. Further signals come once both ranks were told to stop."""
        for each in signals:
            self.launcher.send_signal(each)
            self.wait_for("told", 2)
        code = self.launcher.wait(timeout=60)
        return code, self.log.read_text().splitlines().count("saved") == 2

    def test_term(self):
        self.assertEqual(self.stop(signal.SIGTERM), (85, True))

    def test_term_again_and_again(self):
        self.assertEqual(self.stop(signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1), (85, True))

    def test_usr1(self):
        self.assertEqual(self.stop(signal.SIGUSR1), (85, True))

    def test_interrupt(self):
        self.assertEqual(self.stop(signal.SIGINT), (85, True))

    def test_a_second_interrupt_ends_all_at_once(self):
        self.save_within(50)
        code, saved = self.stop(signal.SIGINT, signal.SIGINT)
        self.assertNotEqual(code, 0)
        self.assertFalse(saved)

    def test_no_rank_outlives_it(self):
        self.launcher.kill()
        self.wait_until(lambda: subprocess.run(["pgrep", "-f", str(self.rank)], capture_output=True).returncode != 0, 60)


class PassingOn(unittest.TestCase):
    def test_exit_code_and_stdin(self):
        self.assertEqual(subprocess.run([MPIRUN_SH, "-n", "2", "sh", "-c", "exit 7"], capture_output=True).returncode, 7)
        echoed = subprocess.run([MPIRUN_SH, "-n", "1", "cat"], input="said\n", capture_output=True, text=True)
        self.assertEqual((echoed.returncode, echoed.stdout), (0, "said\n"))


if __name__ == "__main__":
    MPIRUN_SH = os.path.abspath(sys.argv.pop(1))
    unittest.main()
