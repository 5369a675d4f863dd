"""Processes that end together: signals are passed on to children, and no child outlives its parent."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals with which a user, a terminal or a shutdown ends a process."""

_KILL_COUNTERS = tuple(
    Path(path) for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat")
)
"""Where Linux counts the processes that it ended for want of memory, the container's own count first."""

_PR_SET_PDEATHSIG = 1
"""From Linux's `sys/prctl.h`."""


def interrupt_on_signals(before: Callable[[], None] = lambda: None, once: bool = False) -> None:
    """Make SIGINT, SIGTERM and SIGHUP raise `KeyboardInterrupt`, after calling `before`.

    With `once` only the first does: a later one would cut off what a program does to end in order. A signal that was
    ignored at the process's start stays ignored: `nohup` does so with SIGHUP.
    """
    interrupted = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        before()
        if not (once and interrupted):
            interrupted = True
            raise KeyboardInterrupt

    for ending in _ENDINGS:
        if signal.getsignal(ending) != signal.SIG_IGN:
            signal.signal(ending, interrupt)


def ignore_signals() -> None:
    """Ignore SIGINT, SIGTERM and SIGHUP from now on, in a process that is ending."""
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)


def out_of_memory_kills() -> int:
    """Return how many processes the system has ended for want of memory, in this container where it counts them.

    Source: Linux's documentation of `memory.events` (cgroup v2), `memory.oom_control` (cgroup v1) and `/proc/vmstat`.
    """
    for path in _KILL_COUNTERS:
        if path.exists():
            counts = dict(line.split(maxsplit=1) for line in path.read_text().splitlines())
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return 0


def terminate_children() -> None:
    """Send SIGTERM to every child of this process."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            child.terminate()


def end_group(leader: subprocess.Popen, patience: float = 20) -> None:
    """End a process group, whose leader may have ended already, and return when none of its processes is left.

    The leader gets SIGTERM and ends the others. All that are left get SIGTERM every five seconds, since Python drops an
    interrupt inside a destructor or a hook, and SIGKILL after `patience` seconds. From the call on, this process
    ignores signals itself. A process in its own session, such as a kernel, has to be `bound` to its parent.
    """
    ignore_signals()
    leader.terminate()
    start, sent = time.monotonic(), 1
    with suppress(ProcessLookupError):
        while (waited := time.monotonic() - start) < patience + 5:
            leader.poll()  # an ended leader is a member of its group until it is waited for
            os.killpg(leader.pid, 0)
            if waited > 5 * sent:
                os.killpg(leader.pid, signal.SIGTERM if waited < patience else signal.SIGKILL)
                sent += 1
            time.sleep(0.05)


def bound(command: Sequence[str], ending: signal.Signals = signal.SIGTERM) -> list[str]:
    """Return a command that runs `command`, which gets the signal `ending` when this process ends, even if killed.

    This process has to start it itself, from a thread that lives as long as the command. On systems other than Linux
    the command gets no signal.

    Source: the manual page prctl(2), PR_SET_PDEATHSIG.
    """
    return [sys.executable, "-m", "lib.processes", str(os.getpid()), str(int(ending)), *command]


def _run_bound(parent: int, ending: int, command: Sequence[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ending)
        if os.getppid() != parent:
            sys.exit("the parent process ended before this one started")
    os.execvp(command[0], command)


if __name__ == "__main__":
    _run_bound(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
