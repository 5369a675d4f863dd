"""The whole way, through the command line: two small chapters become one HTML file and one PDF."""

import re
import resource
from html import unescape

import pypdf
import pytest
from bs4 import BeautifulSoup

CAPTIONS = {
    ("Figure", 1): "Two waves, a quarter of a period apart",
    ("Table", 1): "All 90 tests, at",
    ("Table", 2): "Twenty columns of numbers.",
    ("Table", 3): "Settings & their share of the gap & more.",
    ("Figure", 2): "Both learn.",
}


def flat(text):
    return " ".join(text.replace("\xa0", " ").split())


@pytest.fixture(scope="module")
def html(project):
    return project.html.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(html):
    visible = re.sub(r"<[^>]+>", "", html[html.index("<body>") :])
    return flat(unescape(visible))


@pytest.fixture(scope="module")
def pages(project):
    return [flat(page.extract_text()) for page in pypdf.PdfReader(project.pdf).pages]


def test_the_html_is_one_file_that_loads_nothing_and_runs_nothing(html):
    loads = re.findall(r"""(?:src|srcset|data|poster|action)\s*=\s*"([^"]+)""", html)
    loads += re.findall(r'<link[^>]+href="([^"]+)', html) + re.findall(r"url\(([^)]+)", html)
    assert loads, "the pictures are embedded"
    assert all(load.startswith("data:image/svg+xml") for load in loads)
    assert "<script" not in html
    assert "@import" not in html


def test_figures_and_tables_have_the_same_numbers_in_html_and_pdf(text, pages):
    for (kind, number), caption in CAPTIONS.items():
        assert f"{kind} {number}. {caption}" in text
        assert sum(f"{kind} {number}. {caption}" in page for page in pages) == 1


def test_sections_have_the_same_numbers_in_html_and_pdf(text, pages):
    for title in ("1 Data", "1.1 What is hidden and what is not", "2 Results", "2.2 A figure at the end"):
        assert text.count(title) == 2, "once in the contents, once above the text"
        assert sum(page.count(title) for page in pages) == (1 if "." in title else 2), "the PDF's name chapters only"


def test_details_are_lettered_in_an_appendix_and_a_line_with_links_takes_their_place(html, pages):
    soup, whole = BeautifulSoup(html, "html.parser"), " ".join(pages)
    (line,) = [one for one in soup.main.find_all("p") if one.get_text().startswith("In the appendix:")]
    assert flat(line.get_text()) == "In the appendix: Where they come from, How they were counted"
    assert [soup.find(id=link["href"][1:]).name for link in line.find_all("a")] == ["h2", "h2"]
    assert flat(line.find_previous("h1").get_text(" ")) == "1 Data"
    assert "In the appendix: Where they come from, How they were counted" in whole
    headings = [flat(one.get_text(" ")) for one in soup.main.find_all(["h1", "h2", "h3"])]
    appendix = headings[headings.index("A Details: Data") :]
    assert appendix[:4] == [
        "A Details: Data",
        "A.1 Where they come from",
        "A.2 How they were counted",
        "A.2.1 Twice",
    ]
    assert appendix[4].startswith("B Provenance")
    lettered = re.compile(r"[AB](\.\d+)* ")
    assert all(title in whole for title in appendix if lettered.match(title))


def test_the_link_under_each_table_leads_to_its_data(html, project):
    links = [link["href"] for link in BeautifulSoup(html, "html.parser").select("p.data a")]
    assert [link.rpartition("/")[2] for link in links] == ["long.csv", "wide.csv", "words.csv", "data_digests.csv"]
    assert all((project.html.parent / link).is_file() for link in links)


def test_references_name_the_number_also_of_what_comes_later(html, pages):
    assert '<a href="#fig-waves">Figure\xa01</a>' in html
    assert '<a href="#tbl-wide">Table\xa02</a>' in html
    assert "Figure 1 comes from the same numbers as Table 2" in pages[0]


def test_formulas_are_mathml_and_typeset_never_their_source(html, pages):
    assert html.count("<math") >= 8
    assert "\\frac" not in re.sub(r"<annotation.*?</annotation>", "", html)
    assert not any("\\" in page or "$" in page for page in pages)


def test_code_is_folded_in_the_html_and_absent_in_the_pdf_unless_its_cell_is_tagged_show(html, pages):
    soup = BeautifulSoup(html, "html.parser")
    folded = [code for code in soup.find_all("pre") if code.find_parent("details")]
    shown = [code.get_text() for code in soup.find_all("pre") if not code.find_parent("details")]
    assert any("plt.subplots" in code.get_text() for code in folded)
    assert all(code.find_parent("details").summary.get_text() == "Code" for code in folded)
    assert not any("plt.subplots" in code for code in shown)
    assert any("total = 1293 + 144" in code for code in shown)
    assert "plt.subplots" not in " ".join(pages)
    assert "total = 1293 + 144" in " ".join(pages)


def test_hidden_cells_and_warnings_are_in_neither(html, pages):
    for text in (html, " ".join(pages)):
        assert "import matplotlib" not in text
        assert "HIDDEN OUTPUT" not in text
        assert text.count("a warning") == 1, "the shown code names it, but stderr is dropped"
        assert "train 1293 val 144" in text


def test_prose_holds_computed_numbers(text):
    assert "There are 1,437 images, and n < 1438 holds." in text


def test_a_long_table_repeats_its_head_on_each_page(pages):
    rows = [page.count("mobilenetv2") for page in pages]
    assert sum(rows) == 30
    assert sum(count > 0 for count in rows) >= 2
    assert all("cohen d" in page for page, count in zip(pages, rows, strict=True) if count)


def test_a_wide_table_lies_across_a_page_of_its_own_with_all_its_columns(project, pages):
    (page,) = [i for i, page in enumerate(pages) if "column_00" in page]
    box = pypdf.PdfReader(project.pdf).pages[page].mediabox
    assert box.width > box.height
    assert "column_19" in pages[page]


def test_colours_of_a_styled_table_are_in_the_html_without_rules_or_ids(html):
    assert re.search(r"<td[^>]+background-color: #[0-9a-f]{6}; color: #", html)
    assert "T_wide" not in html


def test_a_column_is_right_aligned_when_it_holds_numbers_even_if_its_last_is_missing(html):
    (head,) = re.findall(r"<th[^>]*>difference</th>", html)
    assert "right" in head
    (words,) = re.findall(r"<th[^>]*>precision</th>", html)
    assert "left" in words


def test_the_pdf_is_tagged_with_title_and_language_and_alternative_texts(project):
    reader = pypdf.PdfReader(project.pdf)
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert reader.trailer["/Root"]["/Lang"].startswith("en")
    assert reader.metadata.title == "Quick start: Keras against PyTorch on handwritten digits"
    assert reader.metadata.creation_date is None


def test_each_page_is_numbered_and_all_but_the_first_have_a_running_header(pages):
    for number, page in enumerate(pages, start=1):
        assert f"{number} / {len(pages)}" in page
        assert page.startswith("Quick start: Keras against PyTorch on handwritten digits") == (number > 1)


def test_runs_without_results_are_named_at_the_top(html, pages):
    for text in (html, pages[0]):
        assert "6 of 6 runs have no results in this report." in text
        assert "keras_digits_resnet20_fp32_seed42-quick" in text
        assert "0 of 6 runs done" in text


def test_figures_and_tables_are_saved_beside_the_report(project):
    folder = project.root / "report" / "quickstart"
    assert {path.name for path in (folder / "figures").iterdir()} == {"waves.png", "waves.svg", "bars.png", "bars.svg"}
    assert {path.name for path in (folder / "tables").iterdir()} == {
        "long.csv",
        "wide.csv",
        "words.csv",
        "data_digests.csv",
    }


def test_doing_it_again_does_nothing_quickly_and_without_heavy_imports(project):
    code = """
import sys
from lib.report.__main__ import main
sys.argv = ["report", "quickstart"]
main()
print(sorted({"nbconvert", "matplotlib", "papermill", "pandas"} & set(sys.modules)))
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = project.python("-c", code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.stdout.splitlines() == ["report/quickstart.html and .pdf are up to date", "[]"]
    # Time of the processor, since others may use the machine too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5


def test_executing_and_exporting_again_gives_the_same_bytes(project):
    before = project.html.read_bytes(), project.pdf.read_bytes()
    for stamp in (project.root / "report" / "quickstart").rglob("*.json"):
        stamp.unlink()
    answer = project.report("quickstart")
    assert "chapter 01_data" in answer.stdout
    assert (project.html.read_bytes(), project.pdf.read_bytes()) == before


def test_one_chapter_alone_is_executed_when_stale_and_an_unknown_one_is_refused(project):
    answer = project.report("quickstart", "--chapter", "01_data")
    assert answer.stdout == "chapter 01_data of quickstart is up to date\n"
    answer = project.report("quickstart", "--chapter", "32_figures")
    assert answer.returncode == 1
    assert answer.stderr.strip().endswith("has no chapter '32_figures'; choose from: 01_data, 30_results, A_provenance")
