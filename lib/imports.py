"""The source of `lib`, module by module, and which modules a source needs: the closure of its imports."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from lib import paths


def modules() -> dict[str, bytes]:
    """Read the source of every module of `lib`, by its dotted name; a package is named without `__init__`."""
    found = {}
    for path in sorted(paths.LIB.rglob("*.py")):
        parts = ("lib", *path.relative_to(paths.LIB).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path.read_bytes()
    return found


def closure(
    entries: Iterable[str], sources: Mapping[str, bytes], follow: Callable[[str], bool] = lambda name: True
) -> dict[str, bytes]:
    """Return the sources of the entries and of all modules that they import, directly or not, sorted by name.

    An import leads on where `follow` accepts the module's name. A package's `__init__` belongs to each of its modules.
    An import inside a function counts; a module that is imported by a computed name has to be an entry.
    """
    found: dict[str, bytes] = {}
    waiting = [name for name in entries if name in sources]
    while waiting:
        name = waiting.pop()
        found[name] = sources[name]
        needed = {*_packages(name), *imported(sources[name])}
        waiting += [one for one in needed - found.keys() if one in sources and follow(one)]
    return dict(sorted(found.items()))


@cache
def imported(source: bytes) -> frozenset[str]:
    """Return the dotted names that a source imports, which may be modules or names in one.

    The project uses only absolute imports. A source that cannot be parsed imports nothing.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return frozenset()
    return frozenset(name for node in ast.walk(tree) for name in _names(node))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _packages(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name
