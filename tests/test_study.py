"""Parameters are strict: what is wrong is an error that names the key and the choices, before anything runs."""

import shutil

import pytest
import yaml

from lib import paths
from lib.errors import ParameterError
from lib.study import loading, models
from lib.study.conventions import SWITCHES
from lib.study.loading import layers, load_study, study_names
from lib.study.models import MODELS, Model
from lib.study.nested import merged
from lib.study.resolution import origins, resolve
from lib.study.settings import Settings
from lib.study.study import Comparison

KERAS = {"axis": "framework", "against": "keras"}
BN, SHARED = {"bn": ["bn_eps"]}, {"pairing": {"shared": True}}


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
    padding = {name: s.augmentation.crop_padding for name, s in settings.items()}
    assert padding == {"cifar10": 4, "cifar100": 4, "tiny_imagenet": 8}
    for s in settings.values():
        assert (s.batch_size, s.accumulation_steps, s.augmentation.flip, s.num_workers) == (256, 1, True, 8)
        sgd = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
        assert s.optimizer.model_dump() == sgd
        assert s.schedule.model_dump() == {"name": "cosine", "warmup_epochs": 5}


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
        (
            {"models": ["resnet21"]},
            "models.0: .*21 is not 6n . 2, like 20 or 26.*choose from: mobilenetv2, resnet50.*given: 'resnet21'",
        ),
        ({"datasets": ["mnist"]}, "datasets.0: unknown; choose from: digits, cifar10.*given: 'mnist'"),
        ({"chapters": ["99_none"]}, "chapters.0: unknown; choose from: 01_data, 02_parity.*given: '99_none'"),
        ({"chapters": ["20_train_keras"]}, "chapters.0: unknown; choose from: 01_data"),
        ({"chapters": []}, "chapters: .*at least 1 item"),
        ({"seeds": ["42"]}, "seeds.0: .*valid integer.*given: '42'"),
        ({"seeds": [42, 42]}, "seeds names a value twice"),
        ({"settings": {"epocs": 3}}, "epocs: unknown key; choose from: epochs"),
        ({"settings": {"optimizer": {"learning_rate": "0.1"}}}, "learning_rate: .*valid number.*given: '0.1'"),
        ({"settings": {"optimizer": {"rate": 1.0}}}, "optimizer.sgd.rate: unknown key; choose from: .*learning_rate"),
        ({"settings": {"optimizer": {"name": "adma"}}}, "optimizer: .*'adma'.*'sgd', 'adam', 'adamw', 'rmsprop'"),
        ({"settings": {"optimizer": {"name": "adamw"}}}, "optimizer.adamw.learning_rate: Field required"),
        ({"settings": {"optimizer": 3}}, "optimizer: .*given: 3"),
        (
            {"settings": {"augmentation": {"crop": 4}}},
            "augmentation.crop: unknown key; choose from: crop_padding",
        ),
        ({"settings": {"limits": {"steps": 4}}}, "limits.steps: unknown key; choose from: max_steps_train"),
        ({"settings": {"schedule": {"name": "multistep", "milestones": [0.5, 0.5]}}}, "milestones must increase"),
        (
            {"settings": {"schedule": {"name": "multistep", "milestones": [100]}}},
            "milestones are shares of the run.*given: .100",
        ),
        ({"settings": {"schedule": {"name": "constant", "gamma": 1.0}}}, "gamma: unknown key; choose from: name"),
        ({"settings": {"network": {"widht": 8}}}, "network of resnet20:.*widht: unknown key; choose from: width, skip"),
        (
            {"arms": {"base": {}, "wide": {"network": {"widht": 8}}, "last": {"epochs": 9}}},
            "arm wide, network of resnet20:\n  widht: unknown key",
        ),
        ({"settings": {"network": {"width": "8"}}}, "network of resnet20:.*width: .*valid integer.*given: '8'"),
        ({"settings": {"epochs": 8.0}}, "epochs: .*valid integer"),
        ({"settings": {"epochs": True}}, "epochs: .*valid integer"),
        ({"settings": {"epochs": 5}}, "warmup_epochs 5 is not below epochs 5"),
        (
            {"settings": {"batch_size": 60, "accumulation_steps": 7}},
            "accumulation_steps 7 does not divide batch_size 60",
        ),
        ({"settings": {"optimizer": {"learning_rate": float("inf")}}}, "learning_rate: .*finite number"),
        ({"settings": {"optimizer": {"weight_decay": float("nan")}}}, "weight_decay: .*finite number"),
        ({"settings": {"optimizer": {"momentum": 0.0}}}, "nesterov needs a momentum above 0"),
        ({"seeds": [-1]}, "seeds.0: .*greater than or equal to 0.*given: -1"),
        ({"seeds": [2**32]}, "seeds.0: .*less than 4294967296"),
        ({"gates": {"cifar10": 0.9}}, "gates: the study has no dataset cifar10"),
        ({"variant": None}, "needs a `variant`"),
        ({"settings": {}}, "names no departure"),
        ({"variant": "Not a name"}, "variant: .*pattern"),
        ({"settings": {"pairing": {"align": ["bn_mometum"]}}}, "align.0: Input should be 'bn_eps', .*'bn_mometum'"),
        ({"settings": {"pairing": {"align": "everything"}}}, "align: Input should be a valid"),
        ({"settings": {"pairing": "shared"}}, "pairing: .*given: 'shared'"),
        ({"chapters": ["33_attribution"]}, "33_attribution needs `causes`"),
        ({"causes": {"bn": []}, "settings": SHARED}, "causes.bn: .*at least 1 item"),
        ({"causes": {"bn": ["bn_eps"], "more": ["bn_eps"]}, "settings": SHARED}, "causes name a switch twice"),
        (
            {"causes": BN, "settings": {"pairing": {"shared": True, "align": "all"}}},
            "settings.pairing.align is what `causes` vary",
        ),
        ({"causes": BN, "settings": SHARED, "arms": {"base": {}}}, "leave `arms` and `contrasts` out"),
        (
            {"causes": BN, "settings": SHARED, "contrasts": [{"axis": "framework", "against": "pytorch"}]},
            "leave `arms` and `contrasts` out",
        ),
        ({"contrasts": [KERAS] * 2}, "contrasts compare with framework keras twice"),
        (
            {"contrasts": [KERAS, KERAS | {"levels": ["pytorch"]}]},
            "contrasts compare with framework keras twice: name all its `levels` in one",
        ),
        ({"contrasts": [KERAS | {"levels": ["jax"]}]}, "no framework 'jax' among the others; choose from: pytorch"),
        ({"contrasts": [KERAS | {"levels": ["keras"]}]}, "no framework 'keras' among the others; choose from: pytorch"),
        ({"contrasts": [KERAS | {"levels": ["pytorch"] * 2}]}, "contrasts name a level twice: pytorch, pytorch"),
        ({"contrasts": [KERAS | {"levels": []}]}, "contrasts.0.levels: .*at least 1 item"),
        ({"causes": BN, "settings": {"epochs": 9}}, "set `pairing: {shared: true}`"),
        ({"causes": BN, "settings": SHARED, "frameworks": ["keras"]}, "both are needed"),
        ({"arms": {"Base": {}}}, "arms.Base.*pattern"),
        ({"questions": {"why": ["more"]}, "arms": {"base": {}, "noop": {}}}, "no arm 'more'; choose from: base, noop"),
        ({"questions": {"why": ["noop"], "how": ["noop"]}, "arms": {"noop": {}}}, "questions name an arm twice"),
        ({"questions": {"why": []}}, "questions.why: .*at least 1 item"),
        ({"questions": {"Why?": ["base"]}}, "questions.Why.*pattern"),
        ({"arms": {"base": {}, "fast": {"epocs": 3}}}, "arm fast:.*epocs: unknown key; choose from: epochs"),
        ({"arms": {"base": {}, "short": {"epochs": 1}}}, "arm short:.*warmup_epochs 1 is not below epochs 1"),
        ({"contrasts": [{"axis": "arm", "against": "base"}]}, "the study has one arm, so there is nothing to compare"),
        ({"contrasts": [{"axis": "framework", "against": "jax"}]}, "no framework 'jax'; choose from: keras, pytorch"),
        ({"contrasts": [{"axis": "seed", "against": "42"}]}, "contrasts.0.axis: Input should be 'framework'"),
        (
            {"arms": {"adamw": {"optimizer": {"name": "adamw", "learning_rate": 0.001}}}},
            "arm adamw: Keras has no twin of optimizer.name: adamw: leave keras out",
        ),
        ({"settings": {"measurements": {"layer_images": 1}}}, "layer_images: one image has no batch statistics"),
        ({"settings": {"measurements": {"layer_images": 145}}, "frameworks": ["pytorch"]}, "145 is above the 144 val"),
        (
            {"settings": {"measurements": {"layer_images": 9}}, "frameworks": ["pytorch"], "models": ["convnext_tiny"]},
            "layers of convnext_tiny cannot be measured",
        ),
        ({"settings": {"measurements": {"layer_images": 9}}}, "Keras has no twin of measurements.layer_images: 9"),
        (
            {"settings": {"epochs": 6, "measurements": {"layers_every": 7}}},
            "measurements.layers_every 7 is above epochs 6",
        ),
        (
            {"settings": {"optimizer": {"learning_rate": "1e-3"}}},
            r"learning_rate: .*given: '1e-3'\): YAML reads it as text; write 0.001$",
        ),
        ({"settings": {"epochs": "1e1"}}, "epochs: .*write 10$"),
        ({"settings": {"epochs": "ten"}}, r"epochs: .*given: 'ten'\)$"),
        ({"settings": {"epochs": "inf"}}, r"epochs: .*given: 'inf'\)$"),
        ({"settings": {"execution": {"fused": True}}}, "Keras has no twin of execution.fused: True"),
        ({"settings": {"execution": {"cudnn_benchmark": True}}}, "cudnn_benchmark needs deterministic: false"),
        ({"settings": {"execution": {"fused": True}, "pairing": {"align": "all"}}}, "nor has an optimizer with an al"),
        ({"settings": {"augmentation": {"rotation": 200.0}}}, "rotation: .*less than or equal to 180"),
        ({"settings": {"augmentation": {"erasing": 0.5}}}, "Keras has no twin of augmentation.erasing: 0.5"),
        ({"settings": {"mixing": {"cutmix": 1.0}}}, "Keras has no twin of mixing.cutmix: 1.0"),
        ({"settings": {"mixing": {"probability": 0.5}}}, "needs a mixup or a cutmix above 0"),
        ({"settings": {"augmentation": {"policy": "cutout"}}}, "'none', 'randaugment' or 'autoaugment'"),
        ({"settings": {"augmentation": {"magnitude": 31}}}, "magnitude: .*less than or equal to 30"),
        ({"settings": {"augmentation": {"magnitude": 15}}}, "a magnitude needs the policy randaugment"),
        (
            {"settings": {"augmentation": {"policy": "randaugment", "magnitude": 15}}},
            "Keras has no twin of augmentation.policy: randaugment, augmentation.magnitude: 15",
        ),
        ({"settings": {"optimizer": {"decay_norms": False}}}, "decay_norms: unknown key"),
        ({"settings": {"network": {"skip": False, "shortcut": "B"}}}, "a plain network has no shortcut"),
        ({"chapters": ["40_degradation"]}, "40_degradation needs a contrast of models"),
        ({"settings": {"network": {"shortcut": "C"}}}, "network.*shortcut: Input should be 'A' or 'B'.*given: 'C'"),
        ({"settings": {"network": {"skip": False}}}, "Keras has no twin of network.skip: False"),
        (
            {"settings": {"regularisation": {"label_smoothing": 0.1}}},
            "Keras has no twin of regularisation.label_smoothing: 0.1",
        ),
    ],
)
def test_what_is_wrong_is_named(studies, changes, message):
    name = studies(**{"variant": "trial", "gates": {}} | changes)
    with pytest.raises(ParameterError, match=f"(?s)trial.yaml.*{message}"):
        load_study(name)


def test_other_studies_that_contradict_each_other_stop_no_third_one(studies):
    studies("one", variant="same", settings={"epochs": 9})
    studies("two", variant="same", settings={"epochs": 10})
    assert load_study("quickstart")
    with pytest.raises(ParameterError, match="'one' and 'two' give the run .*-same different settings"):
        load_study("one")


def test_two_studies_cannot_give_one_run_different_settings(studies):
    studies(variant="quick", settings={"epochs": 9})
    with pytest.raises(ParameterError, match="'quickstart' and 'trial' give the run .*-quick different settings"):
        load_study("quickstart")


def test_a_study_is_resolved_once_and_again_when_its_files_change(studies, monkeypatch):
    name, resolved = studies(variant="trial"), []
    monkeypatch.setattr(loading, "resolve", lambda *layers: resolved.append(layers) or resolve(*layers))
    first = load_study(name)
    resolved.clear()
    assert load_study(name) is first
    assert not resolved
    studies(variant="trial", settings={"epochs": 8})
    assert {cell.settings.epochs for cell in load_study(name).cells} == {8}
    train = paths.PARAMS / "train.yaml"
    train.write_text(train.read_text().replace("batch_size: 256", "batch_size: 128"))
    assert {cell.settings.batch_size for cell in load_study(name).cells} == {128}


def test_settings_without_effect_need_no_variant_and_may_differ_between_studies(studies):
    tracked = {"tracking": {"tensorboard": True}, "num_workers": 1}
    stage1 = yaml.safe_load((paths.STUDIES / "stage1.yaml").read_text())
    cells = load_study(studies("watched", **stage1 | {"settings": tracked, "variant": None, "contrasts": []})).cells
    assert {cell.name for cell in cells} == {cell.name for cell in load_study("stage1").cells}
    assert all(cell.settings.tracking.tensorboard for cell in cells)
    with pytest.raises(ParameterError, match="names no departure"):
        load_study(studies("watched", settings=tracked, variant="watched"))


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("common: {}\ndatasets:\nrecipes: {}\n", "needs the keys common, datasets, recipes"),
        ("common: 3\ndatasets: {}\nrecipes: {}\n", "needs the keys common, datasets, recipes"),
        ("datasets: {digits: {}}\n", "needs the keys common, datasets, recipes"),
        ("common: {}\ndatasets: {digits: }\nrecipes: {}\n", "dataset digits holds no settings"),
        ("common: {}\ndatasets: {mnst: {}}\nrecipes: {}\n", "no dataset 'mnst'; choose from: digits"),
        ("common: {}\ndatasets: {}\nrecipes: {}\n", "dataset digits:\n *epochs: Field required"),
    ],
)
def test_settings_without_content_are_one_message(studies, content, message):
    (paths.PARAMS / "train.yaml").write_text(content)
    with pytest.raises(ParameterError, match=f"train.yaml.*{message}"):
        load_study("quickstart")


def test_a_dataset_without_settings_of_its_own_takes_the_common_ones(studies):
    study = load_study(studies("common", datasets=["cifar10"], gates={}, variant="common"))
    assert study.cells[0].settings.augmentation.crop_padding == 4


def test_a_wrong_key_in_train_yaml_is_named(studies):
    train = paths.PARAMS / "train.yaml"
    train.write_text(train.read_text().replace("    nesterov:", "    nestorov:"))
    with pytest.raises(ParameterError, match="(?s)train.yaml.*nestorov: unknown key; choose from: .*nesterov"):
        load_study("stage1")


def test_a_file_that_is_no_yaml_is_named(studies):
    (paths.STUDIES / "trial.yaml").write_text("title: [")
    with pytest.raises(ParameterError, match="trial.yaml is not valid YAML"):
        load_study("trial")


def test_all_stands_for_every_switch_and_their_order_does_not_matter(studies):
    cells = load_study(studies("every", variant="every", settings={"pairing": {"align": "all"}})).cells
    assert cells[0].settings.pairing.align == SWITCHES
    some = {"pairing": {"align": ["weight_decay", "bn_eps", "weight_decay"]}}
    name = studies("some", variant="some", settings=some)
    assert load_study(name).cells[0].settings.pairing.align == ("bn_eps", "weight_decay")


@pytest.fixture
def attribution(studies):
    """A study of three causes, of which one is PyTorch's to change and one concerns `mobilenetv2` alone."""
    causes = {"norm": ["bn_eps", "bn_variance"], "dropout": ["dropout"], "decay": ["weight_decay"]}
    models = ["resnet20", "mobilenetv2"]
    common = {"variant": "why", "settings": SHARED, "gates": {}, "seeds": [42], "datasets": ["cifar10"]}
    return load_study(studies("why", causes=causes, models=models, **common))


def test_an_attribution_goes_from_native_to_aligned_and_back(attribution):
    norm, decay = ("bn_eps", "bn_variance"), ("weight_decay",)
    assert attribution.way == {
        "native": (),
        "upto-norm": norm,
        "upto-dropout": (*norm, "dropout"),
        "upto-decay": (*norm, "dropout", *decay),
        "beyond-norm": ("dropout", *decay),
        "beyond-dropout": decay,
    }
    assert attribution.levels("arm") == tuple(attribution.way)
    assert [one.axis for one in attribution.comparisons] == ["framework"]


def test_arms_that_are_the_same_for_a_framework_share_a_run_named_after_the_first(attribution):
    runs = {(entry.arm, entry.cell.model, entry.cell.framework): entry.cell for entry in attribution.entries}
    assert len({cell.name for cell in attribution.cells}) == len(attribution.cells) == 5 + 6
    assert runs["beyond-norm", "mobilenetv2", "pytorch"].name.endswith("-why-upto-dropout")
    assert runs["upto-decay", "resnet20", "pytorch"].name.endswith("-why-native")
    assert runs["upto-dropout", "resnet20", "keras"].settings.pairing.align == ("bn_variance",)
    for (arm, model, framework), cell in runs.items():
        assert set(cell.settings.pairing.align) == {
            switch
            for switch in attribution.way[arm]
            if switch in MODELS[model].twin.differences and (switch == "dropout") == (framework == "pytorch")
        }


def test_a_study_of_twins_is_aligned_in_every_switch_and_shared():
    for name in ("paired", "paired-quick"):
        for cell in load_study(name).cells:
            assert (cell.settings.pairing.align, cell.settings.pairing.shared) == (SWITCHES, True)
    for name in ("attribution", "attribution-quick"):
        study = load_study(name)
        assert all(cell.settings.pairing.shared for cell in study.cells)
        switches = {switch for cause in study.causes.values() for switch in cause}
        assert switches >= MODELS["mobilenetv2"].twin.differences


ARMS = {
    "base": {},
    "adamw": {"optimizer": {"name": "adamw", "learning_rate": 0.001}},
    "plain": {"network": {"skip": False, "width": 16}},
}


@pytest.fixture
def ablation(studies):
    return load_study(studies("ablation", frameworks=["pytorch"], variant="small", arms=ARMS))


def test_every_arm_has_its_runs_and_the_arm_is_part_of_their_names(ablation):
    assert len(ablation.cells) == 3 * 3
    assert ablation.cells[1].name == "pytorch_digits_resnet20_fp32_seed42-small-adamw"
    assert ablation.keys == ["framework", "dataset", "model", "precision", "arm", "seed"]
    assert [one.axis for one in ablation.comparisons] == ["arm"]
    assert ablation.main == Comparison("arm", "base", ("adamw", "plain"), ["dataset", "model", "precision"])


def test_an_arm_of_another_kind_of_optimizer_takes_nothing_over_from_the_one_before(ablation):
    base, adamw, plain = (cell.settings for cell in ablation.cells[:3])
    assert adamw.optimizer.model_dump() == {
        "name": "adamw",
        "learning_rate": 0.001,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0.01,
        "decay_norms": True,
    }
    assert adamw.model_copy(update={"optimizer": base.optimizer}) == base
    assert plain.network == {"skip": False}  # the width is the default, and no departure


def test_a_study_compares_what_it_states_or_else_frameworks_and_arms(studies):
    arms = {"base": {}, "long": {"epochs": 9}}
    both = load_study(studies("both", variant="both", arms=arms))
    assert [(one.axis, one.against, one.others) for one in both.comparisons] == [
        ("framework", "keras", ("pytorch",)),
        ("arm", "base", ("long",)),
    ]
    assert both.comparisons[0].group == ["dataset", "model", "precision", "arm"]
    stated = [{"axis": "arm", "against": "long"}]
    study = load_study(studies("stated", variant="stated", arms=arms, contrasts=stated))
    assert study.comparisons == (Comparison("arm", "long", ("base",), ["framework", "dataset", "model", "precision"]),)
    alone = load_study(studies("alone", variant="alone", frameworks=["pytorch"]))
    assert alone.comparisons == ()
    assert alone.main.others == ()


def test_a_contrast_may_name_its_levels_and_the_main_one_leaves_none_out(studies):
    arms = {"base": {}, "noop": {}, "long": {"epochs": 9}, "longer": {"epochs": 10}}
    stated = [
        {"axis": "arm", "against": "base", "levels": ["longer", "noop"]},
        {"axis": "arm", "against": "long", "levels": ["longer"]},
    ]
    named = {"variant": "named", "frameworks": ["pytorch"], "arms": arms, "contrasts": stated}
    study = load_study(studies("named", **named))
    group = ["dataset", "model", "precision"]
    assert study.comparisons == (
        Comparison("arm", "base", ("noop", "longer"), group),
        Comparison("arm", "long", ("longer",), group),
    )
    assert study.main == Comparison("arm", "base", ("noop", "long", "longer"), group)


def test_cells_that_differ_in_one_axis_alone_are_matched(ablation):
    for cells in ablation.matched("arm"):
        assert list(cells) == list(ARMS)
        assert len({cell.seed for cell in cells.values()}) == 1


def test_settings_are_laid_over_each_other_and_each_knows_its_layer(studies, monkeypatch):
    train = yaml.safe_load((paths.PARAMS / "train.yaml").read_text())
    train["recipes"] = {"gentle": {"optimizer": {"weight_decay": 5e-4}, "tf32": True}}
    (paths.PARAMS / "train.yaml").write_text(yaml.safe_dump(train))
    row = MODELS["resnet20"]
    monkeypatch.setitem(MODELS, "gentle20", Model("gentle20", row.family, row.arguments, row.twin, recipe="gentle"))
    arms = {"base": {}, "other": {"schedule": {"name": "constant"}}}
    study = load_study(studies("layered", models=["gentle20"], variant="layered", arms=arms))
    found = origins(layers(study, "digits", "gentle20", "other"), study.cells[-1].settings)
    assert found["optimizer.momentum"] == (0.9, "common")
    assert found["augmentation.flip"] == (False, "dataset digits")
    assert found["optimizer.weight_decay"] == (5e-4, "recipe gentle")
    assert found["tf32"] == (True, "recipe gentle")
    assert found["epochs"] == (8, "study")
    assert found["schedule.name"] == ("constant", "arm other")
    assert found["limits.train_samples"] == (None, "default")
    assert "schedule.warmup_epochs" not in found
    assert {key.partition(".")[0] for key in found} | {"network"} == set(Settings.model_fields)


def test_a_recipe_that_train_yaml_lacks_is_named(studies, monkeypatch):
    row = MODELS["resnet20"]
    monkeypatch.setitem(MODELS, "gentle20", Model("gentle20", row.family, row.arguments, row.twin, recipe="gentle"))
    with pytest.raises(ParameterError, match="layered.yaml: no recipe 'gentle' in train.yaml, and gentle20 needs"):
        load_study(studies("layered", models=["gentle20"], variant="layered"))


def test_a_study_names_another_recipe_for_a_model(studies):
    named = {
        "models": ["resnet_20", "resnet_32"],
        "variant": "named",
        "frameworks": ["pytorch"],
        "chapters": ["01_data"],
    }
    study = load_study(studies("named", recipes={"resnet_32": "mixer"}, **named))
    assert {cell.model: cell.settings.optimizer.name for cell in study.cells} == {
        "resnet_20": "sgd",
        "resnet_32": "adam",
    }
    with pytest.raises(ParameterError, match="recipes: the study has no model 'resnet_56'; choose from: resnet_20, "):
        load_study(studies("named", recipes={"resnet_56": "mixer"}, **named))
    with pytest.raises(ParameterError, match="named.yaml: no recipe 'gentle' in .*resnet_20 needs it; .*residual, "):
        load_study(studies("named", recipes={"resnet_20": "gentle"}, **named))


def test_an_option_departs_from_what_the_model_s_row_says(studies):
    """The row of ecanet20_k5 has a kernel of 5, and the family's is adaptive."""
    arms = {"base": {}, "same": {"network": {"kernel": 5}}, "adaptive": {"network": {"kernel": "adaptive"}}}
    named = {"models": ["ecanet20_k5"], "frameworks": ["pytorch"], "chapters": ["01_data"], "variant": "kernels"}
    study = load_study(studies("kernels", arms=arms, **named))
    found = {entry.arm: entry.cell.settings.network for entry in study.entries}
    assert found == {"base": {}, "same": {}, "adaptive": {"kernel": "adaptive"}}


def test_a_model_of_one_framework_is_refused_in_the_other_and_images_must_fit(studies, monkeypatch):
    monkeypatch.setitem(MODELS, "alone", Model("alone", "cifar_resnet", {"depth": 20}))
    with pytest.raises(ParameterError, match="alone exists in pytorch alone: leave keras out of `frameworks`"):
        load_study(studies("alone", models=["alone"], variant="alone", chapters=["01_data"]))
    chapters = ["01_data", "30_results"]
    assert load_study(studies("alone", models=["alone"], variant="alone", frameworks=["pytorch"], chapters=chapters))
    monkeypatch.setitem(models.MODELS, "large", Model("large", "resnet", sizes=(64,)))
    with pytest.raises(
        ParameterError,
        match="large.yaml, dataset digits: large of pytorch takes no images of 32x32 pixels; choose from: 64x64",
    ):
        load_study(studies("large", models=["large"], variant="large", frameworks=["pytorch"], chapters=chapters))


def test_causes_and_the_parity_chapter_need_a_model_that_both_frameworks_have(studies, monkeypatch):
    monkeypatch.setitem(MODELS, "alone", Model("alone", "cifar_resnet", {"depth": 20}))
    name = studies("why", models=["alone"], variant="why", settings=SHARED, causes=BN, chapters=["01_data"])
    assert load_study("quickstart")
    with pytest.raises(ParameterError, match="alone exists in pytorch alone"):
        load_study(name)
    name = studies("ladder", models=["alone"], variant="ladder", frameworks=["pytorch"])
    with pytest.raises(ParameterError, match="02_parity needs a model that both frameworks have"):
        load_study(name)


def test_nested_departures_are_merged_and_another_kind_replaces_its_group():
    base = {"a": 1, "group": {"name": "x", "p": 1, "q": 2}}
    assert merged(base, {"group": {"p": 3}}) == {"a": 1, "group": {"name": "x", "p": 3, "q": 2}}
    assert merged(base, {"group": {"name": "x", "p": 3}})["group"] == {"name": "x", "p": 3, "q": 2}
    assert merged(base, {"group": {"name": "y", "r": 3}})["group"] == {"name": "y", "r": 3}
    assert base["group"]["p"] == 1
