import base64

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from lib import paths
from lib.errors import ChapterError
from lib.report import chapter as module
from lib.report.chapter import Chapter


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """What is displayed: pairs of data and metadata."""
    shown = []
    monkeypatch.setattr(paths, "REPORT", tmp_path)
    monkeypatch.setattr(module, "display", lambda data, raw, metadata: shown.append((data, metadata["report"])))
    return shown


def draw():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    axes.set_title("title")
    return figure


def test_a_figure_is_shown_saved_and_closed(shown, tmp_path):
    figure = draw()
    Chapter("study").figure(figure, "a", "A caption.", "a line", width="60%")
    ((data, report),) = shown
    texts = {"label": "fig-a", "caption": "A caption.", "alt": "a line"}
    assert report == {"kind": "figure", **texts, "width": "60%", "key": False}
    assert (tmp_path / "study/figures/a.svg").read_text() == data["image/svg+xml"]
    assert (tmp_path / "study/figures/a.png").read_bytes() == base64.b64decode(data["image/png"])
    assert not plt.fignum_exists(figure.number)


def test_the_same_figure_gives_the_same_bytes(shown):
    for _ in range(2):
        Chapter("study").figure(draw(), "a", "A caption.", "a line")
    assert shown[0] == shown[1]
    assert "<dc:date>" not in shown[0][0]["image/svg+xml"]


@pytest.mark.parametrize("missing", ["caption", "alt"])
def test_a_figure_without_caption_or_alt_text_is_refused(shown, missing):
    texts = {"caption": "A caption.", "alt": "a line"} | {missing: " "}
    with pytest.raises(ChapterError, match=f"'a' has no {missing}"):
        Chapter("study").figure(draw(), "a", **texts)
    assert shown == []


def test_a_table_without_caption_is_refused(shown):
    with pytest.raises(ChapterError, match="'a' has no caption"):
        Chapter("study").table(pd.DataFrame({"x": [1]}), "a", "")


def test_a_name_that_cannot_be_a_label_is_refused(shown):
    with pytest.raises(ChapterError, match="'My table' cannot name a figure or table"):
        Chapter("study").table(pd.DataFrame({"x": [1]}), "My table", "A caption.")


def test_a_table_is_shown_with_four_decimals_and_saved_with_all(shown, tmp_path):
    frame = pd.DataFrame({"x": [1 / 3, np.nan]})
    Chapter("study").table(frame, "a", "A caption.")
    ((data, report),) = shown
    assert report == {"kind": "table", "label": "tbl-a", "caption": "A caption."}
    assert [cell.get_text() for cell in BeautifulSoup(data["text/html"], "html.parser")("td")] == ["0.3333", "n/a"]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "study/tables/a.csv"), frame, check_exact=True)


def test_a_styled_table_keeps_its_own_format_and_saves_its_data(shown, tmp_path):
    frame = pd.DataFrame({"x": [0.98765]}, index=pd.Index(["r"], name="row"))
    Chapter("study").table(frame.style.format("{:.1%}"), "a", "A caption.")
    assert "98.8%" in shown[0][0]["text/html"]
    assert (tmp_path / "study/tables/a.csv").read_text() == "row,x\nr,0.98765\n"


def test_prose_is_shown_as_markdown(monkeypatch):
    shown = []
    monkeypatch.setattr(module, "display", shown.append)
    Chapter("study").markdown("**1,437** images")
    assert [prose.data for prose in shown] == ["**1,437** images"]


def test_a_finding_is_shown_with_its_topic(shown):
    Chapter("study").finding("Speed", "Both are\nas fast.")
    text = "**Speed.** Both are as fast."
    assert shown == [({"text/markdown": text, "text/plain": text}, {"kind": "finding", "topic": "Speed"})]


@pytest.mark.parametrize(
    ("topic", "text", "message"),
    [
        ("Memory", "It is small.", "'Memory' is no topic of a finding; choose from: Accuracy, Speed, Implementation"),
        ("Speed", "See [Figure](#fig-a).", "the finding on speed has a reference"),
        ("Accuracy", "So is [@he2016].", "the finding on accuracy has a reference"),
    ],
)
def test_a_finding_that_the_first_page_cannot_show_is_refused(shown, topic, text, message):
    with pytest.raises(ChapterError, match=message):
        Chapter("study").finding(topic, text)
    assert shown == []
