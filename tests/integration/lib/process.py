# SPDX-License-Identifier: ISC
"""Processes that a program of ours started itself: the workers of the relay.

    for worker in children(site.pid("relay")): worker.kill()
    worker.stop(); worker.go_on(); worker.rss_kib()
"""
import os
import signal
from pathlib import Path

from .wait import wait_for


class Process:
    def __init__(self, pid):
        self.pid = pid

    def _status(self, name):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return line.split()[1]
        return None

    def name(self):
        """Of its program; None when it has ended."""
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().rstrip("\n")
        except OSError:
            return None

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def stop(self):
        """Stopped when this returns."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_for(lambda: self._status("State") == "T", 30, f"process {self.pid} to stop")

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def rss_kib(self):
        return int(self._status("VmRSS"))

    def peak_kib(self):
        return int(self._status("VmHWM"))

    def threads(self):
        return int(self._status("Threads"))

    def cpu_seconds(self):
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    """Living children, oldest first."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [Process(int(child)) for child in text.split() if state(int(child)) not in (None, "Z")]


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
