"""Sweeps that are made to fail: real processes, found by a mark in their environment, and faults at any moment."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

from lib import paths
from lib.runs import records

PROJECT = Path(__file__).parents[1]
TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL
ENDINGS = (INT, TERM, HUP)
CLOCK = paths.ROOT / "clock"
ROOM = 20 * 2**30
"""The size of the runs' disk, in memory, of which little is used; `make doctor` asks for some of it."""

ENVIRONMENT = os.environ | {
    "FAULT_CLOCK": str(CLOCK),
    "PYTHONPATH": os.pathsep.join([str(PROJECT / "tests/clock"), *filter(None, [os.environ.get("PYTHONPATH")])]),
}


class Sweep:
    """`make sweep` of one study, with all processes that it starts."""

    def __init__(self, study, *variables):
        self.mark = uuid.uuid4().hex
        self.command = ["make", "sweep", f"STUDY={study}", "ENV=conda", f"CONDA_PREFIX={sys.prefix}", *variables]
        self.make = self.start()
        self.makes = [self.make]

    def start(self):
        # As from a terminal: a signal that the tests were started to ignore must not be ignored here.
        restored = [signal.signal(ending, signal.SIG_DFL) for ending in ENDINGS]
        make = subprocess.Popen(
            self.command,
            cwd=PROJECT,
            env=ENVIRONMENT | {"FAULT_MARK": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for ending, handler in zip(ENDINGS, restored, strict=True):
            signal.signal(ending, handler)
        return make

    def again(self):
        """Start a second sweep of the study, beside the first."""
        self.makes.append(self.start())

    @property
    def over(self):
        return all(make.poll() is not None for make in self.makes)

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

    def runs(self, training=False):
        """The names of the runs that a process is there for, or that have a kernel."""
        found = set()
        for process in self.processes():
            with suppress(psutil.Error):
                words = process.cmdline()
                kernel = any("ipykernel_launcher" in child.cmdline() for child in process.children())
                if "lib.sweep.cell" in words and (kernel or not training):
                    found |= {cell for cell in words if cell.startswith(("keras_", "pytorch_"))}
        return found

    def wait_for(self, condition, seconds=120):
        """Wait until a condition holds, or the sweep has ended; return what the condition returned."""
        deadline = time.monotonic() + seconds
        while not (found := condition()) and not self.over:
            assert time.monotonic() < deadline, f"not seen in {seconds} s"
            time.sleep(0.005)
        return found

    def wait(self, seconds):
        """Wait for so long, or until the sweep has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.over:
            time.sleep(0.05)

    def end(self, seconds=30):
        """Wait until no process of the sweep is left; return how many seconds that took, and what was printed."""
        start, printed = time.monotonic(), ""
        try:
            for make in self.makes:
                printed += make.communicate(timeout=max(0, start + seconds - time.monotonic()))[0]
            while self.processes():
                assert time.monotonic() < start + seconds
                time.sleep(0.1)
        except (AssertionError, subprocess.TimeoutExpired):
            left = [(process.pid, process.ppid(), process.cmdline()) for process in self.processes()]
            raise AssertionError(f"still there after {seconds} s: {left}") from None
        return time.monotonic() - start, printed


# A fault takes a sweep, its study and a source of chance, and returns whether there was something to break.


def kill(*words):
    def fault(sweep, study, chance):
        return _signal(sweep.find(*words), KILL)

    return fault


def kill_everything(sweep, study, chance):
    return bool([_signal(process, KILL) for process in sweep.processes()])


def signal_one(sweep, study, chance):
    """Any signal to any process."""
    victim = chance.choice([None, *sorted(sweep.processes(), key=lambda process: process.pid)])
    return _signal(victim, chance.choice((KILL, *ENDINGS)))


def signal_group(how):
    """As Ctrl-C or a closed terminal: the whole foreground group gets the signal."""

    def fault(sweep, study, chance):
        with suppress(ProcessLookupError):
            os.killpg(sweep.make.pid, how)
            return True
        return False

    return fault


def terminate_make(sweep, study, chance):
    return _signal(sweep.find("make"), TERM)


def _signal(process, how):
    with suppress(psutil.NoSuchProcess):
        if process:
            process.send_signal(how)
            return True
    return False


def damage(*patterns, below=None):
    """Flip a bit of one of the files, or cut it off."""

    def fault(sweep, study, chance):
        folders = [below] if below else [records.folder(cell) for cell in study.cells]
        found = sorted(path for folder in folders for pattern in patterns for path in folder.glob(pattern))
        path = chance.choice([None, *found])
        with suppress(FileNotFoundError):
            return bool(path) and _damage(path, chance)
        return False

    return fault


def _damage(path, chance):
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    if chance.random() < 0.5:
        content[place] ^= 1 << chance.randrange(8)
        with path.open("r+b") as file:
            file.write(content)
    else:
        os.truncate(path, place)
    return True


def fill_the_disk(sweep, study, chance):
    """Leave the runs' disk some kilobytes, as if another program had filled it."""
    return _resize(shutil.disk_usage(paths.EXECUTED).used + chance.randrange(2**18))


def empty_the_disk():
    return _resize(ROOM)


def _resize(size):
    command = ["mount", "-o", f"remount,size={size}", paths.EXECUTED]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def sweep_twice(sweep, study, chance):
    if len(sweep.makes) == 1:
        sweep.again()
    return len(sweep.makes) == 2


def jump(sweep, study, chance):
    """Move the clock by up to two days, in either direction."""
    CLOCK.write_text(str(chance.uniform(-48, 48) * 3600))
    return True


FAULTS = {
    "kernel killed": kill("ipykernel_launcher"),
    "cell killed": kill("lib.sweep.cell"),
    "Snakemake killed": kill("lib.sweep.snakemake"),
    "sweep killed": kill("lib.sweep"),
    "make killed": kill("make"),
    "everything killed": kill_everything,
    "any signal to any process": signal_one,
    "any signal to any process, again": signal_one,
    "SIGINT to the group": signal_group(INT),
    "SIGTERM to the group": signal_group(TERM),
    "SIGHUP to the group": signal_group(HUP),
    "SIGTERM to make": terminate_make,
    "disk full": fill_the_disk,
    "record damaged": damage("record.json"),
    "log or product damaged": damage("epochs.csv", "last/epochs.csv", "test.json", "logits.npz"),
    "weights damaged": damage("best.*", "last/best*"),
    "resume state damaged": damage("last/progress.json", "last/epoch0*"),
    "store damaged": damage("digits*", "splits/digits*", below=paths.DATA),
    "two sweeps": sweep_twice,
    "clock jumped": jump,
}
