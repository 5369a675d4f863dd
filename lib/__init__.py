"""Paired Seeds: the code that the notebooks call, divided into rooms; the README lists them."""

import sys
from types import TracebackType


def _told(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


# A command that is interrupted before its `main`, while it imports, would end with a traceback.
sys.excepthook = _told

# jsonschema, which every notebook is checked with, would import a checker of internationalised addresses, if it is
# installed: a second for a grammar that no notebook has a use for. Without it jsonschema leaves that check out.
sys.modules.setdefault("rfc3987_syntax", None)
