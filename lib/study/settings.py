"""The settings of a cell, in small groups.

A field without a default must be set in `params/train.yaml`. A field with a default changes a run's digest only if it
differs from the default, so a new setting does not make earlier runs stale. A group with several kinds (`optimizer`,
`schedule`) is chosen by its `name`, and each kind has only the fields that it uses.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from lib.study.conventions import SWITCHES, Framework, Switch
from lib.study.kinds import BelowOne, NotNegative, Optimizer, Positive, Schedule
from lib.study.strict import Count, Share, Strict


class Augmentation(Strict):
    """The augmentation of train images.

    A random crop after padding with `crop_padding` pixels of zeros; a horizontal `flip` with probability one half; a
    `rotation` by a random angle of up to that many degrees to either side; the `policy` RandAugment (Cubuk et al. 2020)
    or AutoAugment's for CIFAR-10 (Cubuk et al. 2019); and with the probability `erasing`, a random rectangle at the
    mean of the train pixels (Zhong et al. 2020). `magnitude` is that of RandAugment on torchvision's scale of 0 to 30;
    other libraries count to 10.
    """

    pytorch_only: ClassVar = frozenset({"rotation", "policy", "magnitude", "erasing"})

    crop_padding: Annotated[int, Field(ge=0)]
    flip: bool
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    policy: Literal["none", "randaugment", "autoaugment"] = "none"
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9
    erasing: Share = 0.0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if "magnitude" in self.departures() and self.policy != "randaugment":
            raise ValueError("a magnitude needs the policy randaugment")
        return self

    @property
    def by_image(self) -> list[str]:
        """What changes images one by one, on the host; crops and flips are made for a batch at once."""
        return [name for name in ("rotation", "policy", "erasing") if name in self.departures()]


class Mixing(Strict):
    """Mixing of each train image and its label with another one's of the batch.

    `mixup` (Zhang et al. 2018) and `cutmix` (Yun et al. 2019) are the alphas of their Beta distributions; 0 is off.
    A batch is mixed with the `probability`; with both alphas, by either with equal chance. The train loss is that of
    the mixed labels. The train accuracy uses the hard label: that of the image with the larger share.
    """

    pytorch_only: ClassVar = frozenset({"mixup", "cutmix"})

    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0
    probability: Share = 1.0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.probability != 1 and not (self.mixup or self.cutmix):
            raise ValueError("a probability of mixing needs a mixup or a cutmix above 0")
        return self


class Regularisation(Strict):
    """Regularisation besides weight decay and augmentation.

    With label smoothing the train loss is that of the smoothed labels; accuracies use the hard labels. With an
    `average` the weights of val, test and checkpoint are an exponential moving average of the trained ones, which keeps
    this share of itself at each step: 0.999 averages about a thousand steps.
    """

    pytorch_only: ClassVar = frozenset({"label_smoothing", "average"})

    label_smoothing: BelowOne = 0.0
    average: BelowOne = 0.0


class Limits(Strict):
    """Limits for small runs: the largest number of steps per epoch, and of images of train, val and test."""

    max_steps_train: Count | None = None
    max_steps_test: Count | None = None
    train_samples: Count | None = None
    test_samples: Count | None = None


class Measurements(Strict):
    """What a run measures beside its results; no number of the training depends on it.

    `test_each_epoch`: the accuracy on the test images after every epoch, by which nothing is selected. `layer_images`:
    the number of val images on which every activation layer is measured; 0 for no measurement. It is made before the
    training, after the first and the last epoch and every `layers_every` epochs, and with the best weights.
    """

    pytorch_only: ClassVar = frozenset({"layer_images"})

    test_each_epoch: bool = False
    layer_images: Annotated[int, Field(ge=0)] = 0
    layers_every: Count = 10

    @field_validator("layer_images")
    @classmethod
    def _more_than_one(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one image has no batch statistics: take 2 or more, or 0 for no measurement")
        return value


class Pairing(Strict):
    """What the two runs of a pair share besides their seed number.

    `shared`: first weights (or their quantiles), order, crops and flips. `align`: the switches in which both follow the
    `reference`; `all` stands for every switch.
    """

    shared: bool = False
    align: tuple[Switch, ...] = ()
    reference: Framework = "pytorch"

    @field_validator("align", mode="before")
    @classmethod
    def _in_order(cls, value: Any) -> Any:
        """Sort the switches, so that a set of switches has one representation."""
        if value == "all":
            return SWITCHES
        if not isinstance(value, list | tuple):
            return value
        return tuple(sorted(dict.fromkeys(value), key=lambda one: SWITCHES.index(one) if one in SWITCHES else -1))


class Execution(Strict):
    """How the device computes: what can make a training faster, at the price of other last digits.

    `deterministic: false` allows kernels whose sums have no fixed order, so that a run cannot be repeated bit by bit.
    With `cudnn_benchmark` cuDNN tries its algorithms for each convolution and takes the fastest. `channels_last` is the
    order of images and weights in memory. `fused`: the optimizer's update is one kernel.
    """

    pytorch_only: ClassVar = frozenset({"cudnn_benchmark", "channels_last", "fused"})

    deterministic: bool = True
    cudnn_benchmark: bool = False
    channels_last: bool = False
    fused: bool = False

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.cudnn_benchmark and self.deterministic:
            raise ValueError("cudnn_benchmark needs deterministic: false, since its choice differs from run to run")
        return self


DETERMINISTIC = Execution()
"""The default: deterministic kernels, and every choice that could be faster is off."""


class Tracking(Strict):
    """Who else gets a run's log: TensorBoard, as event files, and Weights & Biases, as an offline run."""

    tensorboard: bool = False
    wandb: bool = False


WITHOUT_EFFECT = frozenset({"on_oom", "num_workers", "batches_on", "tracking", "max_hours"})
"""Settings that do not change results. A run that did run out of memory says so in its record."""


class Settings(Strict):
    """The settings of one cell.

    With `compile`, PyTorch's compiler compiles the network, or XLA Keras' whole step, if it can. Each of several
    `devices` (GPUs, processes) trains an equal part of a micro-batch. Training batches are cut, mirrored and normalised
    by the host, or with `batches_on: device` by the device that trains, which then has a copy of all train images;
    their bits are the same. A sweep ends a run whose attempt, with the whole epochs that it goes on from, takes longer
    than `max_hours`.
    """

    epochs: Count
    batch_size: Count
    accumulation_steps: Count
    optimizer: Optimizer
    schedule: Schedule
    augmentation: Augmentation
    mixing: Mixing = Mixing()
    regularisation: Regularisation = Regularisation()
    network: dict[str, bool | int | float | str] = Field({})
    limits: Limits = Limits()
    measurements: Measurements = Measurements()
    pairing: Pairing = Pairing()
    compile: bool = False
    execution: Execution = DETERMINISTIC
    devices: Count = 1
    tf32: bool
    num_workers: Annotated[int, Field(ge=0)]
    batches_on: Literal["host", "device"] = "host"
    on_oom: Literal["fail", "accumulate"] = "fail"
    max_hours: Positive | None = None
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.batch_size % (self.accumulation_steps * self.devices):
            parts = f"{self.accumulation_steps}{f' x devices {self.devices}' if self.devices > 1 else ''}"
            raise ValueError(f"accumulation_steps {parts} does not divide batch_size {self.batch_size}")
        one_device = {"compile: true": self.compile, "on_oom: accumulate": self.on_oom == "accumulate"}
        if self.devices > 1 and (used := [setting for setting in one_device if one_device[setting]]):
            raise ValueError(f"{' and '.join(used)} cannot be had with devices {self.devices}: it is for one device")
        if self.execution.fused and (self.optimizer.name == "rmsprop" or self.pairing.align):
            raise ValueError("execution.fused: RMSprop has no fused form, nor has an optimizer with an aligned switch")
        if self.batches_on == "device" and self.augmentation.by_image:
            named = " and ".join(self.augmentation.by_image)
            raise ValueError(f"batches_on: device cannot be had with augmentation {named}, which the host makes")
        warmup_epochs = getattr(self.schedule, "warmup_epochs", 0)
        if warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {warmup_epochs} is not below epochs {self.epochs}")
        return self

    def without_twin(self) -> Iterator[str]:
        """Yield the settings without a twin in Keras, each with its value; those of `network` depend on the model."""
        yield from (f"{name}: {getattr(self, name)}" for name in self.departures() if name in self.pytorch_only)
        for name in type(self).model_fields:
            group = getattr(self, name)
            if isinstance(group, Strict):
                departures = group.departures()
                yield from (f"{name}.{key}: {departures[key]}" for key in departures if key in group.pytorch_only)
