"""From a study's executed chapters to one HTML file and one PDF: nbconvert, then pandoc, then Typst.

Both files are self-contained and reproducible byte for byte.
"""

import itertools
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import matplotlib
import nbformat
import typst

from lib import files
from lib.errors import ChapterError
from lib.report import freshness
from lib.report.chapter import Topic
from lib.report.exporter import ChapterExporter
from lib.report.pandoc import TEMPLATES, escaped, pandoc
from lib.runs import records
from lib.runs.state import WITH_RESULTS, State, state
from lib.runs.status import FAILURES, Kind
from lib.study.study import Study

_NAMED_RUNS = 12
_NAMED_REASONS = 6
_PANDOC = (
    "--number-sections",
    "--toc",
    "--toc-depth=2",
    "--metadata-file=title.json",
    f"--lua-filter={TEMPLATES / 'citations.lua'}",
    f"--lua-filter={TEMPLATES / 'appendix.lua'}",
    f"--lua-filter={TEMPLATES / 'filter.lua'}",
    "--citeproc",  # after the filters, which would take its links for references to figures and tables
    f"--bibliography={TEMPLATES / 'references.bib'}",
    "--metadata=link-citations:true",
    "--metadata=reference-section-title:References",
)
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def build(study: Study) -> None:
    """Export the study's executed chapters to `report/<study>.html` and `.pdf`, each written whole.

    Raises:
        ChapterError: a chapter, a label, a formula or a table cannot be exported; the message names it.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _write_sources(study, work)
        _export(work, "report.html", "--to=html5", "--embed-resources", "--mathml", "--css=style.css")
        _export(work, "report.typ", "--to=typst")
        _typst(work)
        made = {f"report{target.suffix}": target for target in freshness.outputs(study)}
        for name, target in (made | {"title.json": freshness.first_page(study)}).items():
            with files.replacing(target) as temporary:
                shutil.copyfile(work / name, temporary)


def _write_sources(study: Study, work: Path) -> None:
    """Write pandoc's input: the joined chapters, their pictures, the title block and the style."""
    chapters = {stem: _chapter(freshness.notebook(study, stem)) for stem in study.contents}
    for _, resources in chapters.values():
        for name, content in resources.get("outputs", {}).items():
            (work / name).write_bytes(content)
    texts = [markdown for markdown, _ in chapters.values()]
    texts.insert(len(study.body), "::: appendices\n:::\n")  # the filter letters the headings from here on
    (work / "report.md").write_text("\n\n".join(texts), encoding="utf-8")
    first_page = title_block(study) | _answers([resources for _, resources in chapters.values()])
    (work / "title.json").write_text(json.dumps(first_page, sort_keys=True), encoding="utf-8")
    shutil.copyfile(TEMPLATES / "style.css", work / "style.css")


def _chapter(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        return ChapterExporter().from_notebook_node(nbformat.read(path, as_version=4))
    except ChapterError as error:
        raise ChapterError(f"{path.stem}: {error}") from None


def _answers(resources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what the chapters found for the first page: the findings as a list, and the first key figure."""
    findings = [finding for one in resources for finding in one.get("findings", ())]
    ordered = [text for topic in get_args(Topic) for about, text in findings if about == topic]
    keys = [key for one in resources for key in one.get("keys", ())]
    return {"findings": "".join(f"- {text}\n" for text in ordered), "key": "".join(f"{key}\n" for key in keys[:1])}


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
        "runs": "no chapter needs a run",
        "problems": "",
    }
    if study.is_trained:
        block["runs"] = f"{len(finished)} of {len(states)} runs done"
        block["problems"] = _problems(states, len(states) - len(finished), _missing_chapters(study))
    if finished:
        newest = datetime.fromisoformat(max(finished.values()))
        block["date"] = f"{newest.day} {newest:%B %Y}"
    return block


def _missing_chapters(study: Study) -> list[str]:
    """Return a line for the chapters that read images which are not prepared; none without such chapters."""
    missing = {stem: freshness.unprepared(study, stem) for stem in study.contents}
    chapters = [f"`{stem}`" for stem, datasets in missing.items() if datasets]
    datasets = dict.fromkeys(itertools.chain(*missing.values()))
    prepare = " and ".join(f"`make data DATASET={dataset}`" for dataset in datasets)
    return [f"- not made without images: chapter {', '.join(chapters)} ({prepare})"] if chapters else []


def _problems(states: dict[str, State], absent: int, chapters: list[str]) -> str:
    """Return a box with the runs without results and those of other code, accepted or not, by reason; or nothing.

    Runs that failed come first, those that never ran after all others without results, then missing `chapters`. Runs
    without results are named, the others counted.
    """
    groups = defaultdict(list)
    for name, found in states.items():
        if found.kind != Kind.DONE:
            groups[found].append(name)
    if not groups:
        return ""
    order = dict.fromkeys(FAILURES, 0) | {Kind.MISSING: 2} | dict.fromkeys(WITH_RESULTS, 3)
    ordered = sorted(groups.items(), key=lambda group: order.get(group[0].kind, 1))
    opening = (
        f"{absent} of {len(states)} runs have no results in this report."
        if absent
        else "Runs were made by other code: `RERUN=code` repeats them, `make accept` says that they are equivalent."
    )
    lines = [
        f"- {kind}, {escaped(why)} ({len(names)}){'' if kind in WITH_RESULTS else f': {_some(names)}'}"
        for (kind, why), names in ordered[:_NAMED_REASONS]
    ]
    if left := sum(len(names) for _, names in ordered[_NAMED_REASONS:]):
        lines.append(f"- and {left} more, for other reasons")
    return "\n".join(["::: problems", f"**{opening}**", "", *lines, *chapters, "", ":::\n"])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED_RUNS])
    return f"{shown} and {len(names) - _NAMED_RUNS} more" if len(names) > _NAMED_RUNS else shown


def _export(work: Path, output: str, *options: str) -> None:
    pandoc(work, *_PANDOC, *options, f"--template={TEMPLATES / output}", f"--output={output}", "report.md")


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
