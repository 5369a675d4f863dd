"""Tell what a sweep does while Snakemake runs it: lines in its log, the live page, and the user's command."""

import math
import subprocess
import time
from contextlib import suppress

from lib.clock import duration
from lib.sweep.notifying import Outcome, notify
from lib.sweep.page import Page
from lib.sweep.watching import View, Watch

_LOOK_SECONDS = 10
"""The time between two looks at the runs."""

_SPEAK_SECONDS = 600
"""The longest time without a line about the sweep."""

_STALL_SECONDS = 3600
"""The time after which a sweep whose runs do not go on has stalled."""


class Teller:
    """Tells of one sweep: a study's name, its runs, and the page."""

    def __init__(self, name: str, watch: Watch, page: Page) -> None:
        self._name, self._watch, self._page = name, watch, page

    def follow(self, snakemake: subprocess.Popen) -> int:
        """Tell what happens until Snakemake ends, and return its exit code.

        A line is printed whenever a run began or ended, and every ten minutes; the page is written at every look.
        `ON_END` is called where no run of the sweep has gone on for an hour.
        """
        counts, seen, spoke, moved = None, None, 0.0, 0.0
        while True:
            with suppress(subprocess.TimeoutExpired):
                return snakemake.wait(_LOOK_SECONDS)
            view, instant = self._look(), time.monotonic()
            if view.counts != counts or instant - spoke > _SPEAK_SECONDS:
                counts, spoke = view.counts, instant
                print(f"{self._name}: {view.line}", flush=True)
            if view.places != seen:
                seen, moved = view.places, instant
            elif instant - moved > _STALL_SECONDS:
                moved = math.inf  # told once, until a run goes on
                print(f"{self._name}: no run has gone on for {duration(_STALL_SECONDS)}", flush=True)
                notify(self._name, "stalled", view)

    def end(self, outcome: Outcome) -> None:
        """Write the page for the last time, and call `ON_END`."""
        notify(self._name, outcome, self._look())

    def _look(self) -> View:
        self._page.write()
        return self._watch.look()
