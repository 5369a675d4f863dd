"""Plan, run, watch and accept a study's runs: `python -m lib.sweep {plan,run,status,accept} STUDY`.

Only the records decide which runs are pending. Snakemake runs them.
"""

import argparse

from lib import errors
from lib.errors import ParameterError
from lib.runs.state import Choice, pending, states
from lib.study.loading import load_study
from lib.study.order import in_turn
from lib.study.selection import selected
from lib.sweep import running, showing
from lib.sweep.accepting import accept
from lib.sweep.plan import times
from lib.sweep.planning import plan, plan_and_measure, show_pending
from lib.sweep.running import Manner
from lib.sweep.settings import settings_text
from lib.sweep.watching import Watch


def _parser() -> argparse.ArgumentParser:
    description = "Plan, run, watch or accept a study's runs. A run takes other options too, for Snakemake."
    parser = argparse.ArgumentParser(prog="python -m lib.sweep", description=description, allow_abbrev=False)
    parser.add_argument("action", choices=["plan", "run", "status", "accept"])
    parser.add_argument("study_name", metavar="study", help="a file's stem in params/studies")
    parser.add_argument("--only", default="", help='some of the runs, such as "framework=keras seed=42,123"')
    parser.add_argument("--rerun", choices=["code", ""], default="", help="code: also the runs made by other code")
    parser.add_argument("--retry-failed", action="store_true", help="also the runs that failed three times in a row")
    parser.add_argument("--fail-fast", action="store_true", help="run: start no more runs after the first failure")
    parser.add_argument("--at-once", type=int, help="so many runs at a time, each on a part of the machine")
    parser.add_argument("--profile", default="", help="on a cluster, by a folder of params/profiles")
    parser.add_argument("--reason", default="", help="accept: why the runs made by other code are equivalent")
    parser.add_argument("--settings", action="store_true", help="plan: print the resolved settings instead")
    parser.add_argument("--measure", action="store_true", help="plan: also time a few steps, and say how many seeds")
    parser.add_argument("--json", action="store_true", help="status: JSON, for scripts")
    return parser


def main() -> None:
    """Read the command line, and plan, run, show or accept."""
    arguments, options = _parser().parse_known_args()
    choice = Choice(arguments.rerun, arguments.retry_failed)
    manner = Manner(choice, arguments.at_once, arguments.fail_fast, arguments.profile)
    with errors.one_line():
        if options and arguments.action != "run":
            raise ParameterError(f"{arguments.action} has no option {options[0]}")
        study = load_study(arguments.study_name)
        if not study.is_trained and not arguments.settings:
            raise ParameterError(f"{study.name} is not trained but timed: make bench STUDY={study.name}")
        cells = selected(study, arguments.only)
        if arguments.action == "status":
            watch = Watch(study, cells)
            print(showing.as_json(watch.look())) if arguments.json else showing.show(watch)
        elif arguments.action == "accept":
            accept(cells, arguments.reason)
        elif arguments.action == "plan" and arguments.settings:
            print(settings_text(study))
        elif arguments.action == "plan" and arguments.measure:
            plan_and_measure(study, in_turn(study, cells), manner)
        elif arguments.action == "plan":
            plan(study, states(in_turn(study, cells)), choice)
        else:
            with running.using_data(cells):
                running.tidy_all(cells)
                found = states(in_turn(study, cells))
                todo = pending(found, choice)
                show_pending(study, found, todo)
                if todo:
                    print(f"one after another: {times(study, [cell for cell, _ in todo])}", flush=True)
                running.run(study, found, manner, options)


if __name__ == "__main__":
    main()
