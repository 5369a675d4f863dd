"""The output of a chapter: figures and tables with label and caption, and prose with computed numbers.

Jupyter shows the PNG and the HTML; the export takes label, caption and alt text from the output's metadata.
"""

import base64
import io
import re
from typing import Any, Literal, get_args

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from lib import files, paths
from lib.errors import ChapterError
from lib.report.tables import doubts, shared, whole
from lib.words import listed

_PNG_DPI = 150
DARK = b"""
@media (prefers-color-scheme: dark) {
  #figure_1, image[id^=photographs] { filter: invert(0.914) hue-rotate(180deg); }
}
"""
"""The style of a drawing on a dark page; a photograph in it is inverted twice."""

Topic = Literal["Accuracy", "Speed", "Implementation", "Next"]
"""What a report's first page answers, in this order."""


def to_figures(*names: str) -> str:
    """Return links to these figures for a sentence of the prose, which the export writes as their numbers."""
    return listed(f"[Figure](#fig-{name})" for name in names)


def to_tables(*names: str) -> str:
    """Return links to these tables for a sentence of the prose, which the export writes as their numbers."""
    return listed(f"[Table](#tbl-{name})" for name in names)


class Chapter:
    """The output of one notebook; figures and tables are also saved below `report/<study>/`.

    Prose refers to each of them as `[Figure](#fig-<name>)` or `[Table](#tbl-<name>)`: the export fails if none does.
    Names are unique in a report.
    """

    def __init__(self, study_name: str) -> None:
        self._figures = paths.REPORT / study_name / "figures"
        self._tables = paths.REPORT / study_name / "tables"

    def figure(self, fig: Figure, name: str, caption: str, alt: str, width: str = "100%", key: bool = False) -> None:
        """Show a figure, save it as PNG and SVG, and close it.

        The caption is Markdown and says what to look for. The alt text is plain text and describes the drawing for
        readers who cannot see it. `width` is a share of the text's width. The report's first `key` figure is also shown
        on its first page.
        """
        _require(name, caption=caption, alt=alt)
        png, svg = self.save(fig, name)
        data = {"image/png": base64.b64encode(png).decode(), "image/svg+xml": svg.decode(), "text/plain": alt}
        _show(data, kind="figure", label=f"fig-{name}", caption=caption, alt=alt, width=width, key=key)

    def save(self, fig: Figure, name: str) -> tuple[bytes, bytes]:
        """Save a figure as PNG and SVG without showing it, close it, and return both."""
        _require(name)
        pictures = _rendered(fig, "png", name), _on_dark(_rendered(fig, "svg", name))
        for kind, picture in zip(("png", "svg"), pictures, strict=True):
            with files.replacing(self._figures / f"{name}.{kind}") as path:
                path.write_bytes(picture)
        plt.close(fig)
        return pictures

    def table(self, table: pd.DataFrame | Styler, name: str, caption: str) -> None:
        """Show a table, and save its data at full precision as CSV.

        A `Styler` formats its own numbers. An unnamed default index is left out, and so are keys that are the same in
        all rows, which the caption names. It also explains the sign of a time that is not to be relied on.
        """
        _require(name, caption=caption)
        frame, style = (table.data, table) if isinstance(table, Styler) else (table, whole(table))
        with files.replacing(self._tables / f"{name}.csv") as path:
            frame.to_csv(path, index=not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None)
        caption = " ".join(part for part in (caption, shared(style), doubts(style)) if part)
        data = {"text/html": style.to_html(table_uuid=name, sparse_index=False), "text/plain": frame.to_string()}
        _show(data, kind="table", label=f"tbl-{name}", caption=caption)

    def markdown(self, text: str) -> None:
        """Show prose with computed numbers."""
        display(Markdown(text))

    def finding(self, topic: Topic, text: str) -> None:
        """Show a finding, which the report's first page and the index of all reports repeat.

        The text is Markdown in one or two sentences, without references, since the index has nothing to refer to.
        """
        if topic not in get_args(Topic):
            raise ChapterError(f"{topic!r} is no topic of a finding; choose from: {', '.join(get_args(Topic))}")
        if "](#" in text or "[@" in text:
            raise ChapterError(f"the finding on {topic.lower()} has a reference: make it in the prose beside it")
        shown = f"**{topic}.** {' '.join(text.split())}"
        _show({"text/markdown": shown, "text/plain": shown}, kind="finding", topic=topic)


def _require(name: str, **texts: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ChapterError(f"{name!r} cannot name a figure or table: lower-case letters, digits, '-' and '_' can")
    for what, text in texts.items():
        if not text.strip():
            raise ChapterError(f"{name!r} has no {what}: say it in a sentence")


def _rendered(fig: Figure, kind: str, name: str) -> bytes:
    """Render the figure, reproducibly byte for byte."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    with plt.rc_context({"svg.hashsalt": name}):
        fig.savefig(buffer, format=kind, metadata=metadata, dpi=_PNG_DPI, bbox_inches="tight")
    return buffer.getvalue()


def _on_dark(svg: bytes) -> bytes:
    """Let a drawing follow a page's dark mode: lightness is inverted, and hues and photographs stay as they are."""
    return svg.replace(b"</style>", DARK + b"</style>", 1)


def _show(data: dict[str, str], **report: Any) -> None:
    display(data, raw=True, metadata={"report": report})
