"""Words of a sentence, and the sign of a time that is not to be relied on."""

from collections.abc import Iterable


def listed(words: Iterable[str]) -> str:
    """Write one or more words as a sentence lists them: a, b and c."""
    *most, last = words
    return " and ".join(part for part in (", ".join(most), last) if part)


DOUBT = "†"


def signed(text: str, reason: str) -> str:
    """Write a time or a speed, with the sign of doubt if there is a reason not to rely on it."""
    return f"{text} {DOUBT}" if reason else text


def explained(reasons: Iterable[str]) -> str:
    """Return a sentence on the sign of doubt, from the reason of each row or group; an empty text if none has one."""
    every = list(reasons)
    told = [reason for reason in every if reason]
    return f"{DOUBT} Timing not reliable, {len(told)} of {len(every)}; the first: {told[0]}." if told else ""
