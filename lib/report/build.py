"""From a study's executed chapters to one HTML file and one PDF: nbconvert, then pandoc, then Typst.

Both files are self-contained and reproducible byte for byte.
"""

import json
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import matplotlib
import nbformat
import pypandoc
import typst

from lib import files
from lib.errors import ChapterError
from lib.report import freshness
from lib.report.exporter import TEMPLATES, ChapterExporter, escaped
from lib.runs import records
from lib.runs.state import WITH_RESULTS, Kind, State, state
from lib.study.study import Study

_NAMED_RUNS = 12
_PANDOC = (
    "--from=commonmark_x+autolink_bare_uris",
    "--standalone",
    "--number-sections",
    "--toc",
    "--toc-depth=2",
    "--fail-if-warnings",
    "--metadata-file=title.json",
    f"--lua-filter={TEMPLATES / 'filter.lua'}",
)
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def build(study: Study) -> None:
    """Export the study's executed chapters to `report/<study>.html` and `.pdf`, each written whole.

    Raises:
        ChapterError: a chapter, a label, a formula or a table cannot be exported; the message names it.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _write_sources(study, work)
        _pandoc(work, "report.html", "--to=html5", "--embed-resources", "--mathml", "--css=style.css")
        _pandoc(work, "report.typ", "--to=typst")
        _typst(work)
        for target in freshness.outputs(study):
            with files.replacing(target) as temporary:
                shutil.copyfile(work / f"report{target.suffix}", temporary)


def _write_sources(study: Study, work: Path) -> None:
    """Write pandoc's input: the joined chapters, their pictures, the title block and the style."""
    parts = []
    for stem in study.chapters:
        markdown, pictures = _chapter(freshness.notebook(study, stem))
        parts.append(markdown)
        for name, content in pictures.items():
            (work / name).write_bytes(content)
    (work / "report.md").write_text("\n\n".join(parts), encoding="utf-8")
    (work / "title.json").write_text(json.dumps(title_block(study), sort_keys=True), encoding="utf-8")
    shutil.copyfile(TEMPLATES / "style.css", work / "style.css")


def _chapter(path: Path) -> tuple[str, dict[str, bytes]]:
    try:
        markdown, resources = ChapterExporter().from_notebook_node(nbformat.read(path, as_version=4))
    except ChapterError as error:
        raise ChapterError(f"{path.stem}: {error}") from None
    return markdown, resources.get("outputs", {})


def title_block(study: Study) -> dict[str, str]:
    """Return the title page in Markdown: title, description, runs and their problems, and the date of the newest run.

    The date is that of the newest run and not today's, so the output is reproducible byte for byte.
    """
    states = {cell.name: state(cell) for cell in study.cells}
    finished = {record.run: record.finished for _, record in records.finished(study)}
    block = {
        "title": study.title,
        "tables": f"{study.name}/tables",
        "description": study.description,
        "runs": f"{len(finished)} of {len(states)} runs done",
        "problems": _problems(states, absent=len(states) - len(finished)),
    }
    if finished:
        newest = datetime.fromisoformat(max(finished.values()))
        block["date"] = f"{newest.day} {newest:%B %Y}"
    return block


def _problems(states: dict[str, State], absent: int) -> str:
    """Return a box with the runs without results and those of other code, accepted or not, by reason; or nothing."""
    groups = defaultdict(list)
    for name, found in states.items():
        if found.kind != Kind.DONE:
            groups[found].append(name)
    if not groups:
        return ""
    ordered = sorted(groups.items(), key=lambda group: group[0].kind in WITH_RESULTS)
    opening = f"{absent} of {len(states)} runs have no results in this report." if absent else "Mixed code."
    lines = [f"- {kind}, {escaped(why)} ({len(names)}): {_some(names)}" for (kind, why), names in ordered]
    return "\n".join(["::: problems", f"**{opening}**", "", *lines, "", ":::\n"])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED_RUNS])
    return f"{shown} and {len(names) - _NAMED_RUNS} more" if len(names) > _NAMED_RUNS else shown


def _pandoc(work: Path, output: str, *options: str) -> None:
    files_named = (f"--template={TEMPLATES / output}", f"--output={output}", "report.md")
    command = [pypandoc.get_pandoc_path(), *_PANDOC, *options, *files_named]
    answer = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ChapterError(f"the report cannot be written: {answer.stderr.strip()}")


def _typst(work: Path) -> None:
    """Typeset the PDF, tagged for accessibility, with fonts from wheels; a warning is an error."""
    try:
        pdf, warnings = typst.compile_with_warnings(
            work / "report.typ", font_paths=[_FONTS], ignore_system_fonts=True, pdf_standards="ua-1"
        )
    except typst.TypstError as error:
        raise ChapterError(f"the PDF cannot be typeset: {error.diagnostic.strip()}") from None
    if warnings:
        raise ChapterError(f"the PDF cannot be typeset cleanly: {'; '.join(warning.message for warning in warnings)}")
    (work / "report.pdf").write_bytes(pdf)
