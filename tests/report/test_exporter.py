import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_output

from lib.errors import ChapterError
from lib.report.exporter import ChapterExporter, escaped, plain_table

from .conftest import chapter_of, executed


def export(*cells):
    return ChapterExporter().from_notebook_node(chapter_of(*cells))


def test_an_error_output_stops_the_export_and_names_the_error():
    with pytest.raises(ChapterError, match="a cell ended in an error: ValueError: no"):
        export(executed("f()", new_output("error", ename="ValueError", evalue="no", traceback=[])))


def test_a_notebook_that_was_not_executed_stops_the_export():
    with pytest.raises(ChapterError, match="a cell was never executed: f\\(\\)"):
        export(new_code_cell("f()\ng()"))


def test_a_chapter_that_does_not_open_with_its_title_is_refused():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Some text")])
    with pytest.raises(ChapterError, match="does not open with its title"):
        ChapterExporter().from_notebook_node(notebook)


def test_a_picture_that_was_not_shown_through_the_chapter_is_refused():
    with pytest.raises(ChapterError, match="without caption and alt text"):
        export(executed("plt.show()", new_output("display_data", data={"image/png": "", "text/plain": "<Figure>"})))


def test_plain_text_stays_verbatim_and_loses_its_terminal_colours():
    markdown, _ = export(executed("x", new_output("stream", name="stdout", text="\x1b[31m# red\x1b[0m *x*\n")))
    assert "~~~~~~~~ \n# red *x*\n~~~~~~~~" in markdown


def test_a_figure_brings_its_svg_along_under_its_label():
    texts = {"label": "fig-a", "caption": "A\ncaption.", "alt": "a ] b"}
    report = {"kind": "figure", **texts, "width": "50%", "key": False}
    data = {"image/svg+xml": "<svg/>", "image/png": ""}
    markdown, resources = export(executed("f()", new_output("display_data", data=data, metadata={"report": report})))
    assert resources["outputs"] == {"fig-a.svg": b"<svg/>"}
    assert "keys" not in resources
    assert '::: {#fig-a .report-figure width="50%"}\n![a \\] b](fig-a.svg)\n\nA caption.\n:::' in markdown


def test_style_rules_become_inline_colours_that_both_formats_know():
    styler = pd.DataFrame({"a": [1]}).style.set_properties(color="red", **{"background-color": "rgb(0, 128, 255)"})
    styler = styler.set_table_styles([{"selector": "th", "props": "font-weight: bold; border: 3px solid"}])
    html = plain_table(styler.to_html())
    assert 'style="color: #ff0000; background-color: #0080ff"' in html
    assert 'style="font-weight: bold"' in html
    assert "border" not in html
    assert "id=" not in html
    assert "class=" not in html


def test_an_impossible_colour_is_refused():
    with pytest.raises(ChapterError, match="'mauvish' is not a colour"):
        plain_table(pd.DataFrame({"a": [1]}).style.set_properties(color="mauvish").to_html())


def test_names_of_the_index_stand_in_the_row_of_the_columns():
    frame = pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("x", "y")], names=["one", "two"]))
    table = BeautifulSoup(plain_table(frame.style.to_html()), "html.parser")
    assert [cell.get_text() for cell in table.find_all(["th", "td"])] == ["one", "two", "a", "x", "y", "1"]


def test_escaped_text_is_read_back_by_markdown_as_it_was():
    assert escaped("a*b_c\n`d` [e]") == "a\\*b\\_c \\`d\\` \\[e\\]"
