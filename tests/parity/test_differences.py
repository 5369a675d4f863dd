"""What is listed as different is what the built networks show, and every switch knows whom it concerns."""

import pytest

from lib.parity.differences import differences
from lib.study.conventions import SWITCHES
from lib.study.models import twins

BATCH_NORM = {name: twin.batch_norm for name, twin in twins().items() if twin.batch_norm}


@pytest.mark.parametrize("model", twins())
@pytest.mark.parametrize("size", [32, 64])
def test_the_switches_of_a_model_are_the_differences_that_its_networks_show(model, size):
    table = differences(model, size)
    assert tuple(table.switch) == SWITCHES
    assert set(table.switch[table.differs]) == twins()[model].differences


@pytest.mark.parametrize("model", BATCH_NORM)
def test_the_constants_of_batch_normalisation_are_the_libraries(model):
    rows = differences(model, 32).set_index("switch")
    for framework, constants in BATCH_NORM[model].items():
        assert float(rows.loc["bn_eps", framework]) == constants.epsilon
        assert float(rows.loc["bn_momentum", framework]) == constants.momentum


def test_what_is_measured_is_what_the_formulas_say():
    rows = differences("resnet20", 32).set_index("switch")
    assert (rows.loc["bn_variance", "keras"], rows.loc["bn_variance", "pytorch"]) == (
        "squares / n",
        "squares / (n - 1)",
    )
    decayed = 1 - (1 - 0.1 * 0.1) * (1 - 0.05 * 0.1) * (1 - 0.025 * 0.1)
    assert float(rows.loc["weight_decay", "keras"]) == pytest.approx(decayed, rel=1e-2)


def test_where_a_difference_is_written_is_a_file_of_an_installed_package():
    rows = differences("mobilenetv2", 32).set_index("switch")
    assert rows.loc["padding", "keras_source"] == "keras/src/applications/mobilenet_v2.py"
    assert rows.loc["momentum_form", "pytorch_source"] == "torch/optim/sgd.py"
