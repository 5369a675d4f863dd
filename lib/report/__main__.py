"""`python -m lib.report STUDY`: execute a study's stale chapters, and export its report.

With `--chapter` one chapter is executed, if it is stale, and nothing is exported. Heavy imports are made only when
needed.
"""

import argparse

from lib.errors import one_line
from lib.report import freshness, index
from lib.report.making import refresh_one, report
from lib.study.loading import load_study


def main() -> None:
    """Read the command line, and execute and export."""
    parser = argparse.ArgumentParser(prog="python -m lib.report", description="Execute and export a study's report.")
    parser.add_argument("study_name", metavar="study", help="a file in params/studies, without .yaml")
    parser.add_argument("--chapter", help="execute this chapter only, and export nothing")
    arguments = parser.parse_args()
    with one_line():
        study = load_study(arguments.study_name)
        with freshness.held(study):
            if arguments.chapter:
                refresh_one(study, arguments.chapter)
            else:
                report(study)
                index.write()


if __name__ == "__main__":
    main()
