"""Measure how fast this project works on this machine: `python -m lib.bench STUDY`, for chapter `50_speed`."""

import argparse
import time

from lib import environment, errors, sensors
from lib.bench import fixed, scale, speed
from lib.clock import duration, now
from lib.doctor import examination
from lib.runs import measured
from lib.study.loading import load_study
from lib.study.study import TIMED


def main() -> None:
    """Read the command line, measure, and keep what was measured."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench", description="Measure the speed of training and more.")
    parser.add_argument("study", help="a file's stem in params/studies, whose networks are trained")
    parser.add_argument("--quick", action="store_true", help="the first network and few runs only, for a shorter time")
    arguments = parser.parse_args()
    with errors.one_line():
        study = load_study(arguments.study)
        if TIMED not in study.chapters:
            raise errors.ParameterError(
                f"{study.name} has no chapter {TIMED}, which shows what is measured: add it to its `chapters`"
            )
        speed.require_comparable(study)
        examination.require()
        begun, before, start = now(), sensors.state(), time.monotonic()
        costs = {"fixed": fixed.measure(), "scale": scale.measure(arguments.quick)}  # short, so an error comes early
        counters = sensors.counters()
        speeds = speed.measure(study, arguments.quick)
        after = sensors.state(counters)
        content = {
            "started": begun,
            "finished": now(),
            "quick": arguments.quick,
            "environment": environment.describe(),
            "machine": [before, after],
            **speeds,
            **costs,
        }
        measured.write(study.name, content)
        print(f"measured in {duration(time.monotonic() - start)}")


if __name__ == "__main__":
    main()
