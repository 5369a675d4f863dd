import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_rgb

from lib.analysis import contrasts
from lib.figures import effects, parity, style, training, words
from lib.runs.log import COLUMNS
from lib.study.study import Comparison

KEYS = ["framework", "dataset", "model", "precision", "seed"]
FRAMEWORKS = Comparison("framework", "keras", ("pytorch",), ["dataset", "model", "precision"])


def results(frameworks=("keras", "pytorch"), models=("resnet20",), seeds=(42, 123, 456)):
    rng = np.random.default_rng(0)
    rows = [
        dict(zip(KEYS, (framework, "digits", model, "fp32", seed), strict=True))
        | {"test_accuracy": rng.uniform(0.8, 0.99), "test_macro_f1": 0.9, "images_per_sec_avg": rng.uniform(900, 999)}
        for model in models
        for seed in seeds
        for framework in frameworks
    ]
    return pd.DataFrame(rows).assign(timing="")


def epochs(count, frameworks=("keras", "pytorch"), seeds=(42, 123, 456)):
    rng = np.random.default_rng(0)
    logs = [
        pd.DataFrame(dict.fromkeys(COLUMNS, rng.uniform(0.1, 0.9, count)) | {"epoch": np.arange(1, count + 1)}).assign(
            framework=framework, dataset="digits", model="resnet20", precision="fp32", seed=seed
        )
        for framework in frameworks
        for seed in seeds
    ]
    return pd.concat(logs, ignore_index=True)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def pixels(figure):
    with mpl.rc_context({"svg.hashsalt": "fixed"}):
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()


@pytest.mark.parametrize("count", [1, 4, 200])
def test_curves_have_four_panels_with_a_thin_line_a_seed_and_a_bold_mean_a_framework(count):
    table = epochs(count)
    figure = training.curves(table, FRAMEWORKS)
    assert [axis.get_title("left") for axis in figure.axes] == list(training.PANELS.values())
    for column, axis in zip(training.PANELS, figure.axes, strict=True):
        bold = [line for line in axis.lines if line.get_linewidth() > 1]
        assert len(axis.lines) == 2 * (3 + 1)
        assert len(bold) == 2
        means = table.groupby(["framework", "epoch"])[column].mean()
        for framework, line in zip(("keras", "pytorch"), bold, strict=True):
            assert line.get_ydata() == pytest.approx(means[framework].to_numpy())
            assert line.get_color() == style.looks(FRAMEWORKS)[framework]["color"]


def test_curves_of_one_framework_name_only_that_one():
    assert legend(training.curves(epochs(4, frameworks=["pytorch"]), FRAMEWORKS)) == [
        "PyTorch, mean",
        "one seed (thin)",
    ]


def test_few_epochs_are_marked_one_by_one_and_many_are_not():
    lines = [training.curves(epochs(count), FRAMEWORKS).axes[0].lines for count in (1, 4, 200)]
    assert [[line.get_marker() for line in (drawn[3], drawn[7])] for drawn in lines] == [
        ["o", "s"],
        ["o", "s"],
        ["", ""],
    ]


def test_the_later_half_of_many_epochs_is_drawn_again():
    panel = training.curves(epochs(200), FRAMEWORKS).axes[1]
    (inset,) = panel.child_axes
    assert [line.get_xdata()[0] for line in inset.lines] == [101, 101]
    assert not training.curves(epochs(4), FRAMEWORKS).axes[1].child_axes


def test_small_multiples_have_a_column_a_group_and_a_line_a_level():
    models = ("resnet20", "mobilenetv2", "resnet50")
    table = pd.concat([epochs(4).assign(model=model) for model in models])
    axes = training.draw_small(table, FRAMEWORKS).axes
    assert [axis.get_title("left") for axis in axes] == ["resnet20", "mobilenetv2", "resnet50", "", "", ""]
    means = table[table["model"] == "resnet50"].groupby(["framework", "epoch"])["val_accuracy"].mean()
    for framework, line in zip(("keras", "pytorch"), axes[5].lines, strict=True):
        assert line.get_ydata() == pytest.approx(means[framework].to_numpy())


def test_at_most_four_groups_that_differ_in_the_model_stand_side_by_side():
    table = pd.concat(
        [
            epochs(1).assign(model=f"model{number}", dataset=dataset)
            for dataset in ("digits", "cifar10")
            for number in range(5)
        ]
    )
    found = [
        (rows["dataset"].unique().tolist(), rows["model"].nunique())
        for rows in training.side_by_side(table, FRAMEWORKS)
    ]
    assert found == [(["digits"], 4), (["digits"], 1), (["cifar10"], 4), (["cifar10"], 1)]


def test_the_words_of_a_figure_say_what_it_shows():
    table = results(models=["resnet20"]).assign(test_accuracy=[0.9, 0.8, 0.91, 0.81, 0.92, 0.82])
    caption, alt = words.means(table, "test_accuracy", "fp32", FRAMEWORKS)
    assert caption == "Test accuracy in fp32: mean over the seeds, each seed, and ± 1 standard deviation."
    assert alt == "Test accuracy in fp32, mean of the seeds. digits, resnet20: Keras 91.0%, PyTorch 81.0%."
    caption, alt = words.curves(epochs(4).assign(val_accuracy=0.5), FRAMEWORKS)
    assert caption == "digits, resnet20, fp32: Keras and PyTorch, 3 seeds each, 4 epochs."
    assert alt.endswith("digits, resnet20, fp32: Keras 50.0%, PyTorch 50.0%.")


def test_epochs_are_labelled_with_whole_numbers():
    for count in (1, 4, 200):
        ticks = training.curves(epochs(count), FRAMEWORKS).axes[0].get_xticks()
        assert all(float(tick).is_integer() for tick in ticks)


def test_a_marker_is_the_mean_its_dots_the_seeds_and_its_error_bar_one_standard_deviation():
    table = results()
    axis = training.means(table, "test_accuracy", "fp32", FRAMEWORKS).axes[0]
    for number, framework in enumerate(("keras", "pytorch")):
        values = table.loc[table["framework"] == framework, "test_accuracy"]
        look = style.looks(FRAMEWORKS)[framework]
        (mean,) = (line for line in axis.lines if line.get_color() == look["color"])
        assert mean.get_xdata() == pytest.approx([values.mean()])
        assert mean.get_marker() == look["marker"]
        assert any(list(line.get_xdata()) == values.tolist() for line in axis.lines)
        ends = axis.containers[number].lines[2][0].get_segments()[0][:, 0]
        assert ends == pytest.approx([values.mean() - values.std(), values.mean() + values.std()])
    assert axis.get_xlim()[0] > 0.5
    assert "± 1 standard deviation of the seeds" in legend(axis.figure)


def test_a_speed_is_a_hatched_bar_from_zero_and_a_missing_framework_has_none():
    axis = training.means(results(frameworks=["pytorch"], seeds=[42]), "images_per_sec_avg", "fp32", FRAMEWORKS).axes[0]
    (bar,) = axis.patches
    assert bar.get_width() == pytest.approx(results(frameworks=["pytorch"], seeds=[42])["images_per_sec_avg"].item())
    assert bar.get_hatch() == style.HATCHES[1]
    assert axis.get_xlim()[0] == 0
    assert len(axis.containers) == 1  # one seed has no error bar
    assert "Keras, mean" not in legend(axis.figure)


def test_a_speed_that_is_not_to_be_relied_on_has_a_sign_beside_its_number_and_an_accuracy_has_none():
    table = results()
    table["timing"] = np.where(table["framework"] == "keras", "too hot", "")
    for metric, marked in (("images_per_sec_avg", 1), ("test_accuracy", 0)):
        axis = training.means(table, metric, "fp32", FRAMEWORKS).axes[0]
        assert [text.get_text().endswith(" †") for text in axis.texts] == [bool(marked), False]
        caption, _ = words.means(table, metric, "fp32", FRAMEWORKS)
        assert caption.count("† Timing not reliable, 1 of 2; the first: too hot.") == marked


def test_a_ratio_of_speeds_that_is_not_to_be_relied_on_is_hollow():
    found = results(models=["resnet20", "mobilenetv2"])
    doubts = {("digits", "mobilenetv2", "fp32", "pytorch"): "too hot"}
    table = contrasts.compare(found, FRAMEWORKS, unreliable=doubts)
    axis = effects.effects(table, found, "images_per_sec_avg", FRAMEWORKS).axes[0]
    (hollow,) = (line for line in axis.lines if line.get_markerfacecolor() == "white")
    assert list(hollow.get_ydata()) == [1]
    assert "timing not reliable" in legend(axis.figure)
    assert "hollow" in words.effects(table, "images_per_sec_avg", FRAMEWORKS)[0]
    assert "hollow" not in words.effects(table, "test_accuracy", FRAMEWORKS)[0]


def test_means_have_one_named_row_a_group_and_only_of_their_precision():
    table = results(models=[f"model{number}" for number in range(9)])
    other = results(models=["elsewhere"]).assign(precision="amp")
    axis = training.means(pd.concat([table, other]), "test_accuracy", "fp32", FRAMEWORKS).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [f"digits\nmodel{number}" for number in range(9)]
    low, high = axis.figure.get_size_inches()
    assert low == pytest.approx(16 / 2.54)
    assert high > 4


@pytest.mark.parametrize(
    ("metric", "column", "unit"), [("test_accuracy", "delta", 100), ("images_per_sec_avg", "ratio", 1)]
)
def test_effects_show_mean_interval_and_margin_around_a_centred_line_of_no_difference(metric, column, unit):
    found = results(models=["resnet20", "mobilenetv2"])
    table = contrasts.compare(found, FRAMEWORKS)
    rows = table[table["metric"] == metric]
    axis = effects.effects(table, found, metric, FRAMEWORKS).axes[0]
    dots, single, none = (line.get_xdata() for line in axis.lines)
    every = contrasts.pairs(found, FRAMEWORKS, metric)
    assert len(single) == 2 * 3
    first, second = every["first"], every["second"]
    assert single == pytest.approx((second / first if unit == 1 else unit * (second - first)).to_numpy())
    assert dots == pytest.approx(unit * rows[column].to_numpy())
    interval = ["ratio_low", "ratio_high"] if unit == 1 else ["ci_low", "ci_high"]
    segments = np.array([segment[:, 0] for segment in axis.collections[0].get_segments()])
    assert segments == pytest.approx(unit * rows[interval].to_numpy())
    band = axis.patches[0]
    assert [band.get_x(), band.get_x() + band.get_width()] == pytest.approx(
        (unit * rows[["margin_low", "margin_high"]].iloc[0]).tolist()
    )
    low, high = axis.get_xlim()
    middle = (low * high) ** 0.5 if unit == 1 else (low + high) / 2
    assert none[0] == pytest.approx(middle)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", contrasts.COMPARED)
@pytest.mark.parametrize("frameworks", [("keras", "pytorch"), ("keras",)], ids=["one pair", "no pair"])
def test_effects_without_an_interval_can_be_drawn(metric, frameworks):
    found = results(frameworks=frameworks, seeds=[42])
    table = contrasts.compare(found, FRAMEWORKS)
    axis = effects.effects(table, found, metric, FRAMEWORKS).axes[0]
    assert pixels(axis.figure)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["digits resnet20 fp32"]


def test_a_figure_shows_itself_in_jupyter_without_pyplot():
    data, _ = DisplayFormatter().format(training.curves(epochs(4), FRAMEWORKS))
    assert data["image/png"].startswith(b"\x89PNG")


def test_the_two_colours_differ_in_brightness_or_hue_for_red_green_blindness():
    """Blue against vermilion: the blue channel alone, which red-green blindness leaves whole, tells them apart."""
    keras, pytorch = (to_rgb(style.looks(FRAMEWORKS)[framework]["color"])[2] for framework in ("keras", "pytorch"))
    assert abs(keras - pytorch) > 0.5


@pytest.mark.parametrize(
    "draw",
    [
        lambda: training.curves(epochs(4), FRAMEWORKS),
        lambda: training.means(results(), "test_accuracy", "fp32", FRAMEWORKS),
        lambda: effects.effects(contrasts.compare(results(), FRAMEWORKS), results(), "test_accuracy", FRAMEWORKS),
    ],
    ids=["curves", "means", "effects"],
)
def test_the_same_data_give_the_same_bytes_whatever_the_reader_s_own_style(draw):
    first = pixels(draw())
    with mpl.rc_context({"font.size": 20, "axes.grid": False, "lines.linewidth": 5}):
        second = draw()
    assert pixels(second) == first


def test_no_line_of_the_envelopes_falls_off_the_axis():
    small = {"keras_noise": [0.0, 2e-7], "pytorch_noise": [1e-7, 0.0], "frameworks": [0.0, 1e-7], "limit": [0.0, 1e-6]}
    figure = parity.draw_envelopes(pd.DataFrame({"model": "resnet20", "input_size": 32, "step": [1, 2]} | small))
    (axis,) = figure.axes
    bottom, top = axis.get_ylim()
    assert all(bottom < value < top for line in axis.lines for value in line.get_ydata())
