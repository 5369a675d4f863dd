"""Strict reading of YAML, with messages that name the file, the key and the choices."""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from lib import paths
from lib.errors import ParameterError
from lib.study.strict import Strict

M = TypeVar("M", bound=Strict)


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A loader that refuses duplicate keys in a mapping; PyYAML would take the last one.

    With LibYAML, where PyYAML was built with it, all studies are read in a tenth of the time.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: list[Any] = []
        for name, _ in node.value:
            if name.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(name, deep=True)
            if key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", name.start_mark)
            keys.append(key)
        return super().construct_mapping(node, deep)


def read_file(path: Path) -> bytes:
    """Return the content of a file; `ParameterError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ParameterError(f"{shown(path)} cannot be read: {error.strerror}") from None


@cache
def parsed(content: bytes, path: Path) -> dict[str, Any]:
    """Return the keys and values of a YAML file, from its content; once, since every study is made from one file too.

    Raises:
        ParameterError: it is not valid YAML, or holds something else.
    """
    try:
        content = yaml.load(content.decode(), _UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{shown(path)} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{shown(path)} must hold keys and values")
    return content


def validated(model: type[M], content: dict[str, Any], path: Path, part: str = "") -> M:
    """Validate the content of a file, or of that `part` of it.

    The content is validated as JSON, where a list may become a tuple and everything else stays strict.

    Raises:
        ParameterError: the message names the file, the key and the choices.
    """
    where = f"{shown(path)}{f', {part}' if part else ''}"
    try:
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        problems = "\n  ".join(_explain(problem, model) for problem in _innermost(error.errors()))
        raise ParameterError(f"{where}:\n  {problems}") from None
    except (TypeError, ValueError) as error:  # a key that is not text, or an alias that refers to itself
        raise ParameterError(f"{where}: {error}") from None


def shown(path: Path) -> str:
    """Return a path for a message, relative to the project's folder if it is inside."""
    return str(path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path)


def _innermost(problems: list[Any]) -> list[Any]:
    """Leave out that a list is too short where an entry of it is wrong: a wrong entry does not count."""
    inside = {problem["loc"][:-1] for problem in problems}
    return [one for one in problems if not (one["type"] == "too_short" and one["loc"] in inside)]


def _explain(problem: Any, model: type[Strict]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key; choose from: {', '.join(_model_at(model, problem['loc'][:-1]).model_fields)}"
    message = problem["msg"].removeprefix("Value error, ")
    given = f" (given: {problem['input']!r})" if problem["loc"] and problem["type"] != "missing" else ""
    return f"{f'{key}: ' if key else ''}{message}{given}{_number_hint(problem)}"


def written(value: Any) -> str:
    """Return a value as it is written in YAML."""
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0]


def _number_hint(problem: Any) -> str:
    """Return how to write a number that is text in YAML 1.1, such as 1e6, which lacks the point and the sign."""
    if problem["type"] not in ("float_type", "int_type") or not isinstance(problem["input"], str):
        return ""
    try:
        number = float(problem["input"])
        number = int(number) if problem["type"] == "int_type" and number.is_integer() else number
    except ValueError:
        return ""
    return f": YAML reads it as text; write {written(number)}" if math.isfinite(number) else ""


def _model_at(model: type[Strict], location: tuple[str | int, ...]) -> type[Strict]:
    """Return the model of a group of settings, by its location; a kind of group follows the name of its field."""
    kinds = {model}
    for part in location:
        field = next((one.model_fields[part] for one in kinds if part in one.model_fields), None)
        if field is not None:
            kinds = set(models_in(field.annotation))
        else:
            kinds = {one for one in kinds if part in get_args(one.model_fields["name"].annotation)}
    return kinds.pop()


def models_in(annotation: Any) -> list[type[Strict]]:
    """Return the groups of settings that a field may hold, one for each kind."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]
