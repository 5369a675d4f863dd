"""Several devices are one: two real processes train as one does, and end together. On a CPU, by gloo."""

import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from lib.errors import ParameterError, TrainingError
from lib.pytorch import devices
from lib.pytorch.data import part_of, training_loader
from lib.pytorch.devices import Workers, require_one_batch
from lib.pytorch.learner import PyTorchLearner
from lib.pytorch.normalization import BiasedBatchNorm2d
from lib.runs import records, state
from lib.runs.digests import code, inputs_digest, sources
from lib.runs.state import Kind
from lib.study.loading import load_study
from lib.study.nested import merged
from lib.study.settings import Settings
from lib.training import protocol as training
from tests.faults import PROJECT

on_a_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="two devices of a machine with GPUs are two GPUs")

RESNET9 = {"network": {"width": 4, "batch_norm": False}}


def tiny(count, precision="fp64", model="resnet9", **settings):
    """A cell without batch normalisation that trains in a second, on this number of devices."""
    cell = load_study("quickstart").cell("pytorch_digits_resnet20_fp32_seed42-quick")
    small = {"epochs": 3, "batch_size": 32, "num_workers": 0, "limits": {"train_samples": 96, "test_samples": 40}}
    own = RESNET9 if model == "resnet9" else {}
    changed = merged(cell.settings.model_dump(), {**small, **own, "devices": count})
    settings = Settings.model_validate(merged(changed, settings))
    return cell.model_copy(update={"settings": settings, "precision": precision, "model": model})


def is_worker(process):
    with suppress(psutil.Error):
        return "lib.pytorch.worker" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return False


def workers(of=None):
    """The worker processes of this process, or of another one, without the processes that load images for them."""
    found = [process for process in psutil.Process(of).children(recursive=True) if is_worker(process)]
    return [process for process in found if not is_worker(process.parent())]


def outcome(cell, store, learner=None):
    """Train and test; return the log without its times, the test's results, and the best weights as one vector."""
    learner = learner or PyTorchLearner(cell, store)
    log = training.fit(cell, learner, store.digest)
    result = training.test(cell, learner, log)
    rows = [{name: value for name, value in row.items() if name != "epoch_time_seconds"} for row in log.rows]
    return rows, result, torch.cat([one.detach().ravel() for one in learner.model.parameters()]).numpy()


def assert_same(found, expected, tolerance):
    """Accuracies, counts and rates are equal, and losses, scores and weights to a relative tolerance."""
    for row, other in zip([*found[0], found[1]], [*expected[0], expected[1]], strict=True):
        assert row == pytest.approx(other, rel=tolerance, abs=0)
    difference = np.linalg.norm(found[2] - expected[2]) / np.linalg.norm(expected[2])
    assert difference <= tolerance


EVERYTHING = {
    "accumulation_steps": 2,
    "num_workers": 2,
    "augmentation": {"crop_padding": 4, "flip": True, "rotation": 20.0, "erasing": 0.5, "policy": "randaugment"},
    "mixing": {"mixup": 0.2, "cutmix": 1.0, "probability": 0.8},
    "regularisation": {"average": 0.9, "label_smoothing": 0.1},
    "measurements": {"layer_images": 20, "test_each_epoch": True},
}
"""Whatever PyTorch draws for an epoch's images, and whatever only rank 0 does."""


@on_a_cpu
def test_two_devices_train_as_one_does_whatever_is_drawn_for_an_epoch(digits, elsewhere):
    """The tolerance is relative; 2e-16 was seen."""
    one = outcome(tiny(1, **EVERYTHING), digits)
    elsewhere("second")
    assert_same(outcome(tiny(2, **EVERYTHING), digits), one, 1e-12)


@on_a_cpu
def test_in_float32_too_and_a_killed_worker_ends_the_run_with_one_message_and_it_goes_on_exactly(digits, elsewhere):
    """The tolerance is relative; 5e-8 was seen."""
    one = outcome(tiny(1, "fp32"), digits)
    assert one[0][0]["train_loss"] > one[0][2]["train_loss"], "it learns"
    elsewhere("two")
    cell = tiny(2, "fp32")
    learner = PyTorchLearner(cell, digits)
    two = outcome(cell, digits, learner)
    assert learner.describe()["device"] == "2 x cpu"
    assert_same(two, one, 1e-5)

    elsewhere("killed")
    learner = PyTorchLearner(cell, digits)
    take_sums, taken = learner.take_sums, []

    def killed_in_the_second_epoch():
        taken.append(time.monotonic())
        if len(taken) == 2:
            (worker,) = workers()
            worker.kill()
        return take_sums()

    learner.take_sums = killed_in_the_second_epoch
    with pytest.raises(TrainingError, match=rf"^{cell.name}: rank 1 of 2 died \(signal 9\)$"):
        training.fit(cell, learner, digits.digest)
    assert time.monotonic() - taken[1] < 5
    assert workers() == []
    assert (records.unfinished(cell) / "epoch0001.pt").exists()
    assert_same(outcome(cell, digits), two, 0)


def test_each_rank_has_its_own_dropout_and_the_same_images(digits):
    """Rank 0 draws what one device does."""
    drawn = []
    for cell, rank in ((tiny(1), 0), (tiny(2), 0), (tiny(2), 1)):
        learner = PyTorchLearner(cell, digits, rank, meeting=1)
        learner._ranks.trained = lambda network: network  # none is to be met here
        learner.reseed(42, 1)
        drawn.append((torch.rand(1).item(), learner._train.sampler._generator.initial_seed()))
    assert drawn[0] == drawn[1]
    assert drawn[1][0] != drawn[2][0]
    assert drawn[1][1] == drawn[2][1]


@on_a_cpu
def test_a_worker_that_cannot_begin_says_why(digits, elsewhere, monkeypatch):
    learner = PyTorchLearner(tiny(2), digits)
    monkeypatch.setenv("PAIRED_ROOT", "/nowhere")
    with pytest.raises(TrainingError, match="rank 1 of 2 failed: digits is not prepared: run `make data"):
        learner.reseed(42, 1)
    assert workers() == []


def test_a_process_that_waits_for_a_dead_worker_and_cannot_be_interrupted_ends_with_a_message():
    """As rank 0 does on a GPU, where a collective operation waits for ever."""
    lines = (
        "import threading; from lib.pytorch import devices; devices.PATIENCE = 1",
        "workers = devices.Workers(2)",
        "with workers.waited_for():",
        "    workers._processes[1].kill()",
        "    threading.Event().wait(60)",
    )
    start = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "rank 1 of 2 died (signal 9)\n")
    assert time.monotonic() - start < 40


class Ended:
    """A process that ended with this code."""

    def __init__(self, code):
        self.poll = lambda: code


def test_of_several_dead_workers_the_one_that_was_killed_is_named():
    crowd = object.__new__(Workers)
    crowd._devices, crowd._processes = 4, {1: Ended(1), 2: Ended(-9), 3: Ended(None)}
    assert crowd.death() == "rank 2 of 4 died (signal 9)"


@pytest.fixture
def study(tiny_study):
    """One run on two devices, long enough to be killed."""
    settings = {"devices": 2, "epochs": 8, "num_workers": 2, **RESNET9}
    return load_study(tiny_study("devices", frameworks=["pytorch"], models=["resnet9"], settings=settings))


RUN = """
from lib.study.loading import load_study
from lib.sweep import cell
cell.examination.require = lambda: None
cell.shutil.copyfile = lambda source, target: target.touch()
cell.run("devices", load_study("devices").cells[0])
"""
"""What `python -m lib.sweep.cell` does, without the examination of the machine."""


@pytest.mark.thorough
@on_a_cpu
def test_a_killed_notebook_takes_its_workers_along_and_the_next_one_ends_with_a_record(digits, study):
    (cell,) = study.cells
    command = [sys.executable, "-W", "ignore", "-c", RUN]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as first:
        while not (records.unfinished(cell) / "progress.json").exists():
            assert first.poll() is None
            time.sleep(0.02)
        all_of_it = psutil.Process(first.pid).children(recursive=True)
        (worker,) = workers(first.pid)
        worker.parent().kill()
        assert b"the kernel died" in first.communicate(timeout=60)[1]
    assert psutil.wait_procs(all_of_it, timeout=20)[1] == []
    subprocess.run(command, cwd=PROJECT, check=True)
    assert state.state(cell).kind == Kind.DONE
    record = records.read_record(cell)
    assert (record.environment["device"], record.cell.settings.devices) == ("2 x cpu", 2)
    assert (records.folder(cell) / "console.log").read_text().count("goes on after epoch") == 1
    names = {path.name for path in records.folder(cell).iterdir()}
    assert names == {"notebook.ipynb", "record.json", "console.log", "doctor.json", ".lock", *record.products}


def test_the_devices_parts_are_every_image_once_micro_batch_by_micro_batch(digits):
    cell = tiny(4, accumulation_steps=2)
    parts = [part_of(cell.settings, rank) for rank in range(4)]
    assert parts[1].tolist() == [4, 5, 6, 7, 20, 21, 22, 23]
    assert sorted(np.concatenate(parts)) == list(range(32))
    train = digits.split("train", 96)
    whole, *shares = (training_loader(train, digits, cell.settings, 3, places) for places in (None, *parts))
    for loader in (whole, *shares):
        loader.sampler.reseed(1)
    for batch, *own in zip(whole, *shares, strict=True):
        for place, (images, labels) in zip(parts, own, strict=True):
            assert (batch[0][place] == images).all()
            assert (batch[1][place] == labels).all()


def test_a_batch_that_the_devices_cannot_share_equally_is_refused():
    with pytest.raises(ValueError, match="accumulation_steps 1 x devices 3 does not divide batch_size 32"):
        tiny(3)
    with pytest.raises(ValueError, match="accumulation_steps 8 x devices 8 does not divide batch_size 32"):
        tiny(8, accumulation_steps=8)
    for settings, named in (({"compile": True}, "compile: true"), ({"on_oom": "accumulate"}, "on_oom: accumulate")):
        with pytest.raises(ValueError, match=f"Value error, {named} cannot be had with devices 2"):
            tiny(2, **settings)


def test_keras_is_refused_with_the_reason_when_the_study_is_loaded(tiny_study):
    name = tiny_study("keras-devices", settings={"devices": 2})
    with pytest.raises(ParameterError, match="one device, not on devices: 2: under tf.distribute.Mirr.* by their own"):
        load_study(name)


def test_devices_are_an_input_of_a_run_unless_there_is_one():
    stated, default = (tiny(1).settings.model_dump(exclude=out) for out in ({}, {"devices"}))
    assert (stated["devices"], "devices" in default) == (1, False)
    cells = [tiny(1).model_copy(update={"settings": Settings.model_validate(one)}) for one in (stated, default)]
    digests = [inputs_digest(cell, "data") for cell in (*cells, tiny(2))]
    assert digests[0] == digests[1] != digests[2]
    assert '"devices"' not in cells[0].model_dump_json(exclude_defaults=True)


def test_the_code_of_the_devices_is_part_of_the_digest():
    names = code("pytorch", "resnet9", sources()).keys()
    assert {"lib.pytorch.devices", "lib.pytorch.worker"} <= names
    assert "lib.pytorch.worker" not in code("keras", "resnet20", sources())


@on_a_cpu
def test_batch_normalisation_on_two_processes_is_refused_with_the_way_out(digits):
    with pytest.raises(TrainingError, match="SyncBatchNorm.* needs GPUs: set devices: 1, or train a network without"):
        PyTorchLearner(tiny(2, model="resnet20"), digits)


def test_on_gpus_a_batch_is_normalised_as_one_by_layers_that_share_all_numbers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    require_one_batch(network, tiny(2))
    twin = devices.convert_sync_batchnorm(devices._sharing(network).train())
    assert type(twin[1]) is nn.SyncBatchNorm
    assert type(network[1]) is nn.BatchNorm2d
    own, shared = network.state_dict(keep_vars=True), twin.state_dict(keep_vars=True)
    assert own.keys() == shared.keys()
    assert all(shared[name] is own[name] for name in own)
    with pytest.raises(TrainingError, match="no batch normalisation across devices with the running variance of Keras"):
        require_one_batch(nn.Sequential(BiasedBatchNorm2d(4)), tiny(2))


def test_more_devices_than_gpus_are_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(TrainingError, match="devices: 4, but there are only 3 GPUs here"):
        devices.ranks(tiny(4))
