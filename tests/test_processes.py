"""Processes that end in order, however often they are told to."""

import signal
import subprocess
import sys

import pytest

ENDING = """
import sys, time
from lib import processes
processes.interrupt_on_signals(lambda: print("told", flush=True), once={once})
try:
    print("begun", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("ends", flush=True)
    sys.stdin.readline()
    print("ended in order", flush=True)
"""


@pytest.mark.parametrize("once", [True, False])
def test_a_second_signal_does_not_cut_off_what_the_first_began_where_it_is_asked_for(once):
    command = [sys.executable, "-c", ENDING.format(once=once)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert [process.stdout.readline() for _ in range(2)] == ["told\n", "ends\n"]
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        printed, errors = process.communicate("\n")
    assert (printed == "ended in order\n") == once
    assert errors == ("" if once else "interrupted\n")


INTERRUPTED = """
import atexit, os, signal
from lib import errors

class HalfMade:
    def __del__(self):
        raise AttributeError("never set")

def begin():
    half_made = HalfMade()
    os.kill(os.getpid(), signal.SIGTERM)
    half_made.wait()

atexit.register(os.kill, os.getpid(), signal.SIGTERM)
with errors.one_line():
    begin()
"""


def test_a_command_that_is_interrupted_while_it_imports_says_one_word():
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background jobs ignore it
    code = f"import lib, os, signal, time; {heard}; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "interrupted\n")


def test_an_interrupted_command_says_one_word_whatever_it_was_just_making():
    """As an event loop whose constructor a signal cuts off, and a second signal while the interpreter ends."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
