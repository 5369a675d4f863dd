"""The export of an executed notebook: Markdown for pandoc, and its pictures."""

from typing import Any

import tinycss2
import tinycss2.color3
from bs4 import BeautifulSoup, Tag
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExtractAttachmentsPreprocessor, Preprocessor, TagRemovePreprocessor
from nbformat import NotebookNode
from traitlets import List, default
from traitlets.config import Config

from lib.errors import ChapterError
from lib.report.pandoc import TEMPLATES, escaped

HIDDEN_TAGS = {"parameters", "injected-parameters", "setup", "hide"}


class ReportOutputs(Preprocessor):
    """Turn each figure and table of `lib.report.chapter` into a labelled div for the pandoc filter.

    `resources` get the pictures as `outputs`, by file name, and what the first page repeats: `findings`, each with its
    topic, and `keys`, the key figures.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> tuple[NotebookNode, dict]:
        """Rewrite the outputs of one cell."""
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = self._rewritten(output, resources)
        return cell, resources

    def _rewritten(self, output: NotebookNode, resources: dict[str, Any]) -> dict[str, str]:
        report = output.metadata.get("report")
        if report is None:
            if any(mime.startswith("image/") for mime in output.data):
                raise ChapterError("a figure is shown without caption and alt text: show it with chapter.figure(...)")
            return output.data
        if report.kind == "finding":
            resources.setdefault("findings", []).append((report.topic, output.data["text/markdown"]))
            return output.data
        if report.kind == "table":
            return {"text/markdown": _table_block(report, output.data["text/html"])}
        resources.setdefault("outputs", {})[f"{report.label}.svg"] = output.data["image/svg+xml"].encode()
        if report.key:
            resources.setdefault("keys", []).append(_key_block(report))
        return {"text/markdown": _figure_block(report)}


class ChapterExporter(MarkdownExporter):
    """Export an executed chapter: prose, outputs and their code, which is folded in the HTML and left out of the PDF.

    The code of a cell tagged `show` is shown in both, and a cell with one of `HIDDEN_TAGS` is left out of both.
    """

    default_preprocessors = List([TagRemovePreprocessor, ExtractAttachmentsPreprocessor, ReportOutputs])

    @property
    def default_config(self) -> Config:
        """Hide technical output, and prefer Markdown to plain text."""
        config = super().default_config
        config.merge(
            {
                "TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": HIDDEN_TAGS},
                "ReportOutputs": {"enabled": True},
                "NbConvertBase": {"display_data_priority": ["text/markdown", "text/plain"]},
            }
        )
        return config

    @default("template_file")
    def _template_file_default(self) -> str:
        return "chapter.md.j2"

    @default("extra_template_paths")
    def _extra_template_paths_default(self) -> list[str]:
        return [str(TEMPLATES)]

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return the chapter's Markdown and its resources, pictures among them under `outputs`.

        Raises:
            ChapterError: the notebook has not been executed, holds an error, or does not open with its title.
        """
        for cell in nb.cells:
            _refuse_unfinished(cell)
        markdown, resources = super().from_notebook_node(nb, resources, **kw)
        if not markdown.lstrip().startswith("# "):
            raise ChapterError("the chapter does not open with its title, a heading of level 1")
        return markdown.strip() + "\n", resources


def _refuse_unfinished(cell: NotebookNode) -> None:
    if cell.cell_type != "code" or not cell.source.strip():
        return
    for output in cell.outputs:
        if output.output_type == "error":
            raise ChapterError(f"a cell ended in an error: {output.ename}: {output.evalue}")
    if cell.execution_count is None:
        raise ChapterError(f"a cell was never executed: {cell.source.strip().splitlines()[0]}")


def _figure_block(report: NotebookNode) -> str:
    return _div(f'{{#{report.label} .report-figure width="{report.width}"}}', _picture(report), report.caption)


def _picture(report: NotebookNode) -> str:
    return f"![{escaped(report.alt)}]({report.label}.svg)"


def _key_block(report: NotebookNode) -> str:
    caption = f"{report.caption} This is [Figure](#{report.label})."
    return _div(f'{{.key-figure width="{report.width}"}}', _picture(report), caption)


def _table_block(report: NotebookNode, html: str) -> str:
    fence = "`" * 8
    return _div(f"{{#{report.label} .report-table}}", f"{fence}{{=html}}\n{plain_table(html)}\n{fence}", report.caption)


def _div(attributes: str, content: str, caption: str) -> str:
    return f"::: {attributes}\n{content}\n\n{' '.join(caption.split())}\n:::"


def plain_table(html: str) -> str:
    """Return a table from pandas with inline styles, and without ids and classes."""
    soup = BeautifulSoup(html, "html.parser")
    for style in soup.find_all("style"):
        _inline(style.extract().string or "", soup)
    _join_index_names(soup.table)
    for element in (soup.table, *soup.table.find_all(True)):
        kept = {key: value for key, value in element.attrs.items() if key in ("colspan", "rowspan", "href")}
        style = _portable_style(element.get("style", ""))
        element.attrs = kept | ({"style": style} if style else {})
    return str(soup.table)


def _inline(stylesheet: str, soup: BeautifulSoup) -> None:
    for rule in tinycss2.parse_stylesheet(stylesheet, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            for element in soup.select(tinycss2.serialize(rule.prelude)):
                element["style"] = f"{element.get('style', '')};{tinycss2.serialize(rule.content)}"


def _portable_style(style: str) -> str:
    """Keep what HTML and Typst both support: colours, as hexadecimal numbers, and bold and italic type."""
    kept = {}
    for declaration in tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True):
        if declaration.type != "declaration":
            continue
        value = tinycss2.serialize(declaration.value).strip()
        if declaration.name in ("color", "background-color"):
            kept[declaration.name] = _hexadecimal(value)
        elif (declaration.name, value) in {("font-weight", "bold"), ("font-style", "italic")}:
            kept[declaration.name] = value
    return "; ".join(f"{name}: {value}" for name, value in kept.items())


def _hexadecimal(colour: str) -> str:
    channels = tinycss2.color3.parse_color(colour)
    if not isinstance(channels, tuple):
        raise ChapterError(f"{colour!r} is not a colour that the export supports")
    red, green, blue, alpha = (round(255 * channel) for channel in channels)
    return f"#{red:02x}{green:02x}{blue:02x}" + (f"{alpha:02x}" if alpha < 255 else "")


def _join_index_names(table: Tag) -> None:
    """Move the index's names into the row of the columns' names; pandas writes them into a separate row."""
    *_, columns, last = [None, None, *table.thead.find_all("tr")]
    cells = last.find_all("th")
    names = [cell for cell in cells if "index_name" in cell.get("class", [])]
    rest = cells[len(names) :]
    if columns and names and not any(cell.get_text(strip=True) for cell in rest):
        for cell, name in zip(columns.find_all("th"), names, strict=False):
            cell.string = name.get_text(strip=True)
        last.decompose()
