"""Processes that end together: a signal reaches the children, and no child outlives its parent."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

import psutil

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which a user, a terminal or a machine that shuts down asks a process to end."""

_PR_SET_PDEATHSIG = 1
"""From Linux's `sys/prctl.h`."""


def interrupt_on_signals(before: Callable[[], None] = lambda: None) -> None:
    """Make SIGINT, SIGTERM and SIGHUP raise `KeyboardInterrupt`, after calling `before`.

    A signal that the process was started to ignore stays ignored, as `nohup` asks it of SIGHUP.
    """

    def interrupt(signum: int, frame: FrameType | None) -> None:
        before()
        raise KeyboardInterrupt

    for ending in _ENDINGS:
        if signal.getsignal(ending) != signal.SIG_IGN:
            signal.signal(ending, interrupt)


def terminate_children() -> None:
    """Send SIGTERM to every child of this process."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            child.terminate()


def end_group(leader: subprocess.Popen, patience: float = 20) -> None:
    """End a process group, whose leader may have ended already, and return when none of its processes is left.

    SIGTERM goes to the leader, which ends the others; every five seconds to all that are left, since Python drops an
    interrupt that it meets in a destructor or a hook; and after `patience` seconds they are killed. From now on this
    process ignores signals itself. A process in a session of its own, as a kernel is, has to be `bound` to its parent.
    """
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    leader.terminate()
    start, sent = time.monotonic(), 1
    with suppress(ProcessLookupError):
        while (waited := time.monotonic() - start) < patience + 5:
            leader.poll()  # an ended leader counts as a member of its group until it is waited for
            os.killpg(leader.pid, 0)
            if waited > 5 * sent:
                os.killpg(leader.pid, signal.SIGTERM if waited < patience else signal.SIGKILL)
                sent += 1
            time.sleep(0.05)


def bound(command: Sequence[str], ending: signal.Signals = signal.SIGTERM) -> list[str]:
    """Return a command that runs `command` and sends it the signal `ending` when this process ends, even if killed.

    It has to be started by this process itself, from a thread that lives as long as the command. On systems other than
    Linux the command runs without that signal.

    Source: the manual page prctl(2), PR_SET_PDEATHSIG.
    """
    return [sys.executable, "-m", "lib.processes", str(os.getpid()), str(int(ending)), *command]


def _run_bound(parent: int, ending: int, command: Sequence[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ending)
        if os.getppid() != parent:
            sys.exit("the parent ended before this process had begun")
    os.execvp(command[0], command)


if __name__ == "__main__":
    _run_bound(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
