"""Words of a sentence."""

from collections.abc import Iterable


def listed(words: Iterable[str]) -> str:
    """Write one or more words as a sentence lists them: a, b and c."""
    *most, last = words
    return " and ".join(part for part in (", ".join(most), last) if part)
