"""Parameters are strict: what is wrong is an error that names the key and the choices, before anything runs."""

import shutil

import pytest
import yaml

from lib import paths
from lib.errors import ParameterError
from lib.study.conventions import DIFFERENCES, SWITCHES
from lib.study.params import load_study, study_names

BN, SHARED = {"bn": ["bn_eps"]}, {"pairing": "shared"}


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """A parameter folder of the test's own; returns a function that writes a variation of `quickstart`."""
    shutil.copytree(paths.PARAMS, tmp_path / "params")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "PARAMS", tmp_path / "params")
    monkeypatch.setattr(paths, "STUDIES", tmp_path / "params/studies")
    quickstart = yaml.safe_load((paths.STUDIES / "quickstart.yaml").read_text())

    def write(name="trial", **changes):
        (paths.STUDIES / f"{name}.yaml").write_text(yaml.safe_dump(quickstart | changes, sort_keys=False))
        return name

    return write


def test_stage1_has_24_cells_and_stage2_180():
    assert len(load_study("stage1").cells) == 24
    assert len(load_study("stage2").cells) == 180


def test_the_two_stages_have_the_axes_and_gates_of_the_benchmark():
    stage1, stage2 = load_study("stage1"), load_study("stage2")
    assert (stage1.datasets, stage1.models) == (("cifar10", "cifar100"), ("resnet50", "mobilenetv2"))
    assert (stage1.precisions, stage1.seeds) == (("fp32",), (42, 123, 456))
    assert stage1.gates == {"cifar10": 0.85, "cifar100": 0.55}
    assert stage2.datasets == ("cifar10", "cifar100", "tiny_imagenet")
    assert stage2.models == ("resnet50", "mobilenetv2", "convnext_tiny")
    assert (stage2.precisions, stage2.seeds) == (("fp32", "amp"), (42, 123, 456, 789, 1024))
    assert stage1.frameworks == stage2.frameworks == ("keras", "pytorch")


def test_stage2_takes_over_every_run_of_stage1():
    stage2 = {cell.name: cell for cell in load_study("stage2").cells}
    assert all(stage2[cell.name] == cell for cell in load_study("stage1").cells)


def test_the_settings_are_the_protocol_s():
    settings = {cell.dataset: cell.settings for cell in load_study("stage2").cells}
    assert {name: s.epochs for name, s in settings.items()} == {"cifar10": 200, "cifar100": 200, "tiny_imagenet": 100}
    assert {name: s.crop_padding for name, s in settings.items()} == {"cifar10": 4, "cifar100": 4, "tiny_imagenet": 8}
    for s in settings.values():
        assert (s.batch_size, s.accumulation_steps, s.learning_rate, s.warmup_epochs) == (256, 1, 0.1, 5)
        assert (s.momentum, s.nesterov, s.weight_decay, s.flip, s.num_workers) == (0.9, True, 1e-4, True, 8)


def test_a_run_s_name_tells_its_cell():
    names = [cell.name for cell in load_study("stage1").cells]
    assert names[:2] == ["keras_cifar10_resnet50_fp32_seed42", "pytorch_cifar10_resnet50_fp32_seed42"]
    assert load_study("quickstart").cells[0].name == "keras_digits_resnet20_fp32_seed42-quick"


def test_every_study_of_the_project_loads():
    assert {"quickstart", "stage1", "stage2", "cifar10-mini"} <= set(study_names())
    for name in study_names():
        cells = load_study(name).cells
        assert len({cell.name for cell in cells}) == len(cells)


def test_an_unknown_study_is_answered_with_the_choices():
    with pytest.raises(ParameterError, match="no study 'stage3'.*choose from:.*stage1, stage2"):
        load_study("stage3")


def test_an_unknown_run_is_answered_with_the_study_s_runs():
    with pytest.raises(ParameterError, match="no run 'x'.*\n.*keras_digits_resnet20_fp32_seed42-quick"):
        load_study("quickstart").cell("x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ["resnet20"]}, "model: unknown key; choose from: .*models"),
        ({"models": ["resnet21"]}, "models.0: .*'mobilenetv2', 'resnet50'.*given: 'resnet21'"),
        ({"datasets": ["mnist"]}, "datasets.0: .*'digits', 'cifar10'.*given: 'mnist'"),
        ({"seeds": ["42"]}, "seeds.0: .*valid integer.*given: '42'"),
        ({"seeds": [42, 42]}, "seeds names a value twice"),
        ({"settings": {"epocs": 3}}, "epocs: unknown key; choose from: epochs"),
        ({"settings": {"learning_rate": "0.1"}}, "learning_rate: .*valid number.*given: '0.1'"),
        ({"settings": {"epochs": 8.0}}, "epochs: .*valid integer"),
        ({"settings": {"epochs": True}}, "epochs: .*valid integer"),
        ({"settings": {"epochs": 5}}, "warmup_epochs 5 is not below epochs 5"),
        (
            {"settings": {"batch_size": 60, "accumulation_steps": 7}},
            "accumulation_steps 7 does not divide batch_size 60",
        ),
        ({"settings": {"learning_rate": float("inf")}}, "learning_rate: .*finite number"),
        ({"settings": {"weight_decay": float("nan")}}, "weight_decay: .*finite number"),
        ({"seeds": [-1]}, "seeds.0: .*greater than or equal to 0.*given: -1"),
        ({"seeds": [2**32]}, "seeds.0: .*less than 4294967296"),
        ({"gates": {"cifar10": 0.9}}, "gates: the study has no dataset cifar10"),
        ({"variant": None}, "needs a `variant`"),
        ({"settings": {}}, "names no departure"),
        ({"variant": "Not a name"}, "variant: .*pattern"),
        ({"settings": {"align": ["bn_mometum"]}}, "align.0: Input should be 'bn_eps', .*given: 'bn_mometum'"),
        ({"settings": {"align": "everything"}}, "align: Input should be a valid"),
        ({"settings": {"pairing": "same"}}, "pairing: Input should be 'native' or 'shared'"),
        ({"chapters": ["33_attribution"]}, "33_attribution needs `causes`"),
        ({"causes": {"bn": []}, "settings": SHARED}, "causes.bn: .*at least 1 item"),
        ({"causes": {"bn": ["bn_eps"], "more": ["bn_eps"]}, "settings": SHARED}, "causes name a switch twice"),
        ({"causes": BN, "settings": SHARED | {"align": "all"}}, "settings.align is what `causes` vary"),
        ({"causes": BN, "settings": SHARED, "gates": {"digits": 0.9}}, "leave `gates` out"),
        ({"causes": BN, "settings": {"epochs": 9}}, "set `pairing: shared`"),
        ({"causes": BN, "settings": SHARED, "frameworks": ["keras"]}, "both are needed"),
        (
            {"causes": BN, "settings": SHARED, "chapters": ["30_results"]},
            "can only be 01_data, 02_parity, 33_attribution",
        ),
    ],
)
def test_what_is_wrong_is_named(studies, changes, message):
    name = studies(**{"variant": "trial", "gates": {}} | changes)
    with pytest.raises(ParameterError, match=f"(?s)trial.yaml.*{message}"):
        load_study(name)


def test_two_studies_cannot_give_one_run_different_settings(studies):
    studies(variant="quick", settings={"epochs": 9})
    with pytest.raises(ParameterError, match="'quickstart' and 'trial' give the run .*-quick different settings"):
        load_study("quickstart")


@pytest.mark.parametrize("fault", [{"models": ["resnet21"]}, {"seeds": [-1]}, {"seeds": [2**32]}])
def test_a_fault_in_another_study_stops_nothing(studies, fault):
    name = studies(**fault)
    assert len(load_study("quickstart").cells) == 6
    with pytest.raises(ParameterError, match=str(*fault.values())[1:-1]):
        load_study(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"title: \xff", "is not valid YAML: .*utf-8"),
        (None, "cannot be read: Is a directory"),
        (b"title: one\ntitle: two\n", "is not valid YAML: the key 'title' stands twice.*line 2"),
        (b"settings: {epochs: 1, epochs: 2}\n", "is not valid YAML: the key 'epochs' stands twice"),
        (b"settings: &x {more: *x}\n", "[Cc]ircular"),
        (b"2026-01-01: x\n", "keys must be str"),
        (b"- a\n", "must hold keys and values"),
        (b"[" * 5000, "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_study_is_one_message_and_stops_no_other_study(studies, content, message):
    path = paths.STUDIES / "broken.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    assert len(load_study("quickstart").cells) == 6
    with pytest.raises(ParameterError, match=f"(?s)params/studies/broken.yaml.*{message}"):
        load_study("broken")


def test_a_mapping_may_be_merged_into_another(studies):
    name = studies()
    path = paths.STUDIES / f"{name}.yaml"
    lines = path.read_text().replace("settings:\n", "settings:\n  <<: {num_workers: 1}\n")
    path.write_text(lines.replace("variant: quick", "variant: merged"))
    assert load_study(name).cells[0].settings.num_workers == 1


@pytest.mark.parametrize("content", ["common: {}\ndatasets:\n", "common: 3\ndatasets: {}\n", "datasets: {digits: }\n"])
def test_settings_without_content_are_one_message(studies, content):
    (paths.PARAMS / "train.yaml").write_text(content)
    with pytest.raises(ParameterError, match=r"train.yaml: needs the keys `common` and `datasets`"):
        load_study("quickstart")


def test_a_wrong_key_in_train_yaml_is_named(studies):
    train = paths.PARAMS / "train.yaml"
    train.write_text(train.read_text().replace("  nesterov:", "  nestorov:"))
    with pytest.raises(ParameterError, match="(?s)train.yaml.*nesterov: Field required.*nestorov: unknown key"):
        load_study("stage1")


def test_a_file_that_is_no_yaml_is_named(studies):
    (paths.STUDIES / "trial.yaml").write_text("title: [")
    with pytest.raises(ParameterError, match="trial.yaml is not valid YAML"):
        load_study("trial")


def test_all_stands_for_every_switch_and_their_order_does_not_matter(studies):
    cells = load_study(studies("every", variant="every", settings={"align": "all"})).cells
    assert cells[0].settings.align == SWITCHES
    name = studies("some", variant="some", settings={"align": ["weight_decay", "bn_eps", "weight_decay"]})
    assert load_study(name).cells[0].settings.align == ("bn_eps", "weight_decay")


@pytest.fixture
def attribution(studies):
    """A study of three causes, of which one is PyTorch's to change and one concerns `mobilenetv2` alone."""
    causes = {"norm": ["bn_eps", "bn_variance"], "dropout": ["dropout"], "decay": ["weight_decay"]}
    models = ["resnet20", "mobilenetv2"]
    common = {"variant": "why", "settings": SHARED, "gates": {}, "seeds": [42], "datasets": ["cifar10"]}
    return load_study(studies("why", causes=causes, models=models, **common))


def test_an_attribution_goes_from_native_to_aligned_and_back(attribution):
    norm, decay = ("bn_eps", "bn_variance"), ("weight_decay",)
    assert [(arm.name, arm.aligned) for arm in attribution.arms] == [
        ("native", ()),
        ("upto-norm", norm),
        ("upto-dropout", (*norm, "dropout")),
        ("upto-decay", (*norm, "dropout", *decay)),
        ("beyond-norm", ("dropout", *decay)),
        ("beyond-dropout", decay),
    ]
    assert attribution.chapters == ("01_data", "02_parity", "33_attribution")


def test_arms_that_are_the_same_for_a_framework_share_a_run_named_after_the_first(attribution):
    runs = {(arm.name, cell.model, cell.framework): cell for arm, cells in attribution.pairs for cell in cells}
    assert len({cell.name for cell in attribution.cells}) == len(attribution.cells) == 5 + 6
    assert runs["beyond-norm", "mobilenetv2", "pytorch"].name.endswith("-why-upto-dropout")
    assert runs["upto-decay", "resnet20", "pytorch"].name.endswith("-why-native")
    assert runs["upto-dropout", "resnet20", "keras"].settings.align == ("bn_variance",)
    for (arm, _, framework), cell in runs.items():
        wanted = next(one.aligned for one in attribution.arms if one.name == arm)
        assert set(cell.settings.align) == {
            switch
            for switch in wanted
            if switch in DIFFERENCES[cell.model] and (switch == "dropout") == (framework == "pytorch")
        }


def test_a_study_of_twins_is_aligned_in_every_switch_and_shared():
    for name in ("paired", "paired-quick"):
        for cell in load_study(name).cells:
            assert (cell.settings.align, cell.settings.pairing) == (SWITCHES, "shared")
    for name in ("attribution", "attribution-quick"):
        study = load_study(name)
        assert {cell.settings.pairing for cell in study.cells} == {"shared"}
        assert {switch for cause in study.causes.values() for switch in cause} >= DIFFERENCES["mobilenetv2"]
