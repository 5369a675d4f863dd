"""A reader sees chosen columns under readable headers; what is saved stays whole."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from lib.report import tables
from lib.study.conventions import SWITCHES
from lib.study.switches import TITLES


def test_a_shown_table_has_the_chosen_columns_under_their_headers_and_keeps_its_data():
    scores = {"test_accuracy": 0.98765, "test_macro_f1": np.nan, "epoch_best": np.nan}
    table = pd.DataFrame({"framework": ["keras", "pytorch"], "seed": 42} | scores)
    style = tables.shown(table, ["framework", "test_accuracy", "epoch_best"])
    page = BeautifulSoup(style.to_html(), "html.parser")
    assert [head.get_text() for head in page.find_all("th")] == ["framework", "test accuracy, %", "epoch best"]
    assert [row.find_all("td")[1].get_text() for row in page.tbody.find_all("tr")] == ["98.77", "98.77"]
    assert "n/a" in style.to_html()
    pd.testing.assert_frame_equal(style.data, table)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("delta", 0.00123, "+0.12"),
        ("delta", -0.5, "-50.00"),
        ("t_p", 0.000012, "1e-05"),
        ("t_p", 0.0625, "0.0625"),
        ("images_per_sec_avg", 12345.6, "12,346"),
        ("reason", "a < b", "a &lt; b"),
    ],
)
def test_a_value_is_written_for_its_reader(column, value, text):
    html = tables.shown(pd.DataFrame({column: [value]}), [column]).to_html()
    assert f">{text}</td>" in html


def test_a_speed_that_is_not_to_be_relied_on_has_a_sign_which_a_sentence_explains():
    table = pd.DataFrame({"seed": [1, 2], "images_per_sec_avg": [1234.0, 99.0], "timing": ["", "too hot"]})
    style = tables.shown(table, table.columns)
    page = BeautifulSoup(style.to_html(), "html.parser")
    assert [[part.get_text() for part in row.find_all("td")] for row in page.tbody.find_all("tr")] == [
        ["1", "1,234"], ["2", "99 †"]
    ]  # fmt: skip
    apart = tables.shown(table.drop(columns="timing"), ["seed", "images_per_sec_avg"], table["timing"])
    assert BeautifulSoup(apart.to_html(), "html.parser").tbody.get_text() == page.tbody.get_text()
    assert tables.doubts(style) == "† Timing not reliable, 1 of 2; the first: too hot."
    assert tables.doubts(tables.shown(table, ["seed"])) == ""
    assert tables.doubts(tables.shown(table.assign(timing=""), table.columns)) == ""
    assert tables.doubts(tables.shown(table.drop(columns="timing"), table.columns)) == ""


def test_a_check_that_is_not_judged_is_neither_passed_nor_failed():
    table = pd.DataFrame({"limit": [np.nan, 1.0], "passed": pd.array([pd.NA, False], dtype="boolean")})
    html = tables.checked(table).to_html()
    assert html.count("n/a") == 2
    assert html.count("FAILED") == 1
    assert html.count("font-weight: bold") == 1


@pytest.mark.parametrize(("value", "text"), [(6123.4, "6,100"), (0.3442, "0.34"), (13.4, "13"), (1.0, "1")])
def test_a_rounded_number_has_two_digits_and_no_exponent(value, text):
    assert tables.rounded(value) == text


def test_a_difference_has_its_interval_if_it_has_one():
    assert tables.points_between(-0.05, -0.06, -0.04) == "-5.00 points (95 % -6.00 to -4.00)"
    assert tables.points_between(-0.05, np.nan, np.nan) == "-5.00 points"


def test_counts_that_differ_are_written_as_a_range():
    assert tables.span(pd.Series([3, 3])) == "3"
    assert tables.span(pd.Series([5, 2, 3])) == "2 to 5"


def test_keys_that_all_rows_share_stand_in_the_caption_and_not_in_the_table():
    table = pd.DataFrame({"dataset": ["digits"] * 2, "model": ["a", "b"], "n": [3, 3], "input_size": [32, 32]})
    style = tables.shown(table, ["dataset", "model", "n", "input_size"])
    assert tables.shared(style) == "All rows: dataset digits, input size 32."
    html = style.to_html()
    assert [text in html for text in ("digits", ">model<", ">n<")] == [False, True, True]
    assert tables.shared(style) == ""


def test_a_table_of_one_row_keeps_its_keys():
    style = tables.shown(pd.DataFrame({"dataset": ["digits"], "n": [3]}), ["dataset", "n"])
    assert tables.shared(style) == ""
    assert "digits" in style.to_html()


def test_a_whole_table_has_its_index_plain_headers_and_separated_thousands():
    frame = pd.DataFrame({"n_images": [45000, 7], "part_of": [1 / 3, 2.0], "ok": [True, False]})
    frame.index = pd.Index(["a <b>", "c"], name="split")
    page = BeautifulSoup(tables.whole(frame).to_html(), "html.parser")
    assert [head.get_text() for head in page("th")] == ["split", "n images", "part of", "ok"]
    assert [cell.get_text() for cell in page("td")] == ["a <b>", "45,000", "0.3333", "yes", "c", "7", "2", "no"]


def test_the_numbers_of_checks_are_written_as_those_of_other_tables():
    style = tables.checked(pd.DataFrame({"limit": [1e-5, 45000.0], "passed": [True, False]}))
    cells = [cell.get_text() for cell in BeautifulSoup(style.to_html(), "html.parser")("td")]
    assert cells == ["1e-05", "yes", "45,000", "FAILED"]


def test_columns_that_were_left_out_stay_so_beside_hidden_keys():
    table = pd.DataFrame({"framework": ["keras", "pytorch"], "dataset": "digits", "epoch_best": [1, 2], "loss": 0.5})
    style = tables.shown(table, ["framework", "dataset", "epoch_best"])
    assert tables.shared(style) == "All rows: dataset digits."
    page = BeautifulSoup(style.to_html(), "html.parser")
    assert [head.get_text() for head in page.find_all("th")] == ["framework", "epoch best"]
    assert [[cell.get_text() for cell in row.find_all("td")] for row in page.tbody.find_all("tr")] == [
        ["keras", "1"],
        ["pytorch", "2"],
    ]


def test_metrics_and_switches_are_shown_without_underscores():
    table = pd.DataFrame({"metric": ["test_accuracy", "images_per_sec_avg", "some_other"], "switch": "bn_variance"})
    html = tables.shown(table, table.columns).to_html()
    assert all(name in html for name in ("test accuracy", "images/s", "some other", "running variance of batch norm"))


def test_every_switch_has_words_and_counts_of_a_framework_stand_under_its_name():
    assert set(TITLES) == set(SWITCHES)
    page = tables.whole(pd.DataFrame({"num_classes": [10], "keras": [7], "pytorch": [7], "keras_follows": ["Keras"]}))
    heads = [head.get_text() for head in BeautifulSoup(page.to_html(), "html.parser")("th")]
    assert heads == ["classes", "Keras", "PyTorch", "Keras follows"]
