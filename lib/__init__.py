"""Paired Seeds: the code that the notebooks call, divided into rooms; the README lists them."""

import sys

# jsonschema, which every notebook is checked with, would import a checker of internationalised addresses, if it is
# installed: a second for a grammar that no notebook has a use for. Without it jsonschema leaves that check out.
sys.modules.setdefault("rfc3987_syntax", None)
