"""Sweeps that are made to fail: real processes, found by a mark in their environment, and killed at a moment."""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[1]
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Sweep:
    """`make sweep` of one study, with all processes that it starts."""

    def __init__(self, study, *variables):
        self.mark = uuid.uuid4().hex
        command = ["make", "sweep", f"STUDY={study}", "ENV=conda", f"CONDA_PREFIX={sys.prefix}", *variables]
        # As from a terminal: a signal that the tests were started to ignore must not be ignored here.
        restored = [signal.signal(ending, signal.SIG_DFL) for ending in ENDINGS]
        self.make = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | {"FAULT_MARK": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for ending, handler in zip(ENDINGS, restored, strict=True):
            signal.signal(ending, handler)

    def processes(self):
        """Every process of the sweep that is alive."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("FAULT_MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def find(self, *words):
        """The process whose command line has all these words, or None."""
        for process in self.processes():
            with suppress(psutil.Error):
                if set(words) <= set(process.cmdline()):
                    return process
        return None

    def wait_for(self, condition, seconds=120):
        """Wait until a condition holds, or the sweep has ended; return what the condition returned."""
        deadline = time.monotonic() + seconds
        while not (found := condition()) and self.make.poll() is None:
            assert time.monotonic() < deadline, f"not seen in {seconds} s"
            time.sleep(0.005)
        return found

    def end(self, seconds=30):
        """Wait until no process of the sweep is left; return how many seconds that took, and what was printed."""
        start = time.monotonic()
        try:
            output, _ = self.make.communicate(timeout=seconds)
            while self.processes():
                assert time.monotonic() < start + seconds
                time.sleep(0.1)
        except (AssertionError, subprocess.TimeoutExpired):
            left = [(process.pid, process.ppid(), process.cmdline()) for process in self.processes()]
            raise AssertionError(f"still there after {seconds} s: {left}") from None
        return time.monotonic() - start, output
