"""Every setting with its choices and its default, from the models that check them: `python -m lib.study.listing`."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from lib.errors import one_line
from lib.study.models import MODELS
from lib.study.settings import Settings
from lib.study.strict import Strict
from lib.study.validation import models_in, written

REQUIRED = "no default"
"""`params/train.yaml` states it, or the study that chooses its kind."""

PYTORCH = "PyTorch only"
"""What Keras has no twin of: a Keras run leaves it at its default."""

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield each setting: its dotted name, its choices, its default, and the framework, kind or models that have it."""
    for name, field in Settings.model_fields.items():
        kinds = {_kind(kind): kind for kind in models_in(field.annotation)}
        if not kinds and name != "network":
            yield name, _choices(field), _default(field), _framework(name, Settings)
        if len(kinds) > 1:
            yield f"{name}.name", " or ".join(kinds), REQUIRED, ""
        for title, kind in kinds.items():
            yield from _fields(name, kind, title)
    for options in dict.fromkeys(model.options for model in MODELS.values()):
        models = [name for name, model in MODELS.items() if model.options is options]
        yield from _fields("network", options, ", ".join(models))


def _kind(group: type[Strict]) -> str:
    """Return the name of a group that is one of several kinds."""
    return get_args(group.model_fields["name"].annotation)[0] if "name" in group.model_fields else ""


def _fields(name: str, group: type[Strict], where: str) -> Iterator[tuple[str, str, str, str]]:
    for key, field in group.model_fields.items():
        if key != "name":
            of = ", ".join(filter(None, [where, _framework(key, group)]))
            yield f"{name}.{key}", _choices(field), _default(field), of


def _framework(key: str, group: type[Strict]) -> str:
    return PYTORCH if group.pytorch_only & {key, "name"} else ""


def _choices(field: FieldInfo) -> str:
    found = [(sign, getattr(one, name, None)) for one in field.metadata for name, sign in SIGNS.items()]
    bounds = ", ".join(f"{sign} {value}" for sign, value in found if value is not None)
    return f"{_type(field.annotation)} {bounds}".strip()


def _type(annotation: Any) -> str:
    if annotation is NoneType:
        return "null"
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, parts))
    if hasattr(annotation, "__metadata__"):
        return _choices(FieldInfo.from_annotation(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(parts[0])}"
    return " or ".join(map(_type, parts)) if parts else annotation.__name__


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    return written(list(value) if isinstance(value, tuple) else value)


def main() -> None:
    """Print the settings, one a line, below a heading."""
    found = [("setting", "choices", "default", "of"), *rows()]
    widths = [min(max(map(len, column)), 40) for column in zip(*found, strict=True)]
    with one_line():
        for row in found:
            print("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    main()
