"""Tables of text for a terminal or a pipe."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

PIPE_COLUMNS = 120
"""The least width of a table in characters; rich assumes 80 for a pipe, which would wrap names."""


def print_table(words: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under the headings of columns of words, which come first, and of columns of numbers."""
    table = Table(box=None)
    for place, heading in enumerate(words):
        table.add_column(heading, no_wrap=place == 0)
    for heading in numbers:
        table.add_column(heading, no_wrap=True, justify="right")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.width = max(console.width, PIPE_COLUMNS)
    console.print(table)
