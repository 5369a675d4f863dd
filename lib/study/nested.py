"""Nested settings: laid over each other, or flattened to dotted names."""

from typing import Any


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level with dotted keys, such as `optimizer.momentum`."""
    found = {}
    for key, value in content.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def merged(base: dict[str, Any], departures: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings with some replaced; a group whose `name` differs is replaced whole."""
    found = dict(base)
    for key, value in departures.items():
        old = found.get(key)
        same_kind = isinstance(old, dict) and isinstance(value, dict) and value.get("name") in (None, old.get("name"))
        found[key] = merged(old, value) if same_kind else value
    return found
