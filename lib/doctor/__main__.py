"""`python -m lib.doctor`: check this environment and this machine. The exit code is 1 where a check says NO."""

import argparse
import json
import sys

from lib import errors
from lib.doctor import examination


def main() -> None:
    """Read the command line, make all checks, and print them as a table or as JSON."""
    parser = argparse.ArgumentParser(prog="python -m lib.doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with errors.one_line():
        found = examination.examine()
        if arguments.json:
            print(json.dumps(found, indent=2))
        else:
            examination.show(found)
        sys.exit(1 if examination.failed(found) else 0)


if __name__ == "__main__":
    main()
