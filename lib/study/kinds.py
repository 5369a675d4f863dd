"""The settings that come in kinds, chosen by their `name`: optimizers and schedules.

Each kind has only the fields that it uses.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from lib.study.strict import Strict

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Within = Annotated[float, Field(gt=0, lt=1)]


class SGD(Strict):
    """Stochastic gradient descent, in each framework's own form (`torch.optim.SGD`, `keras.optimizers.SGD`)."""

    name: Literal["sgd"]
    learning_rate: Positive
    momentum: BelowOne = 0.0
    nesterov: bool = False
    weight_decay: NotNegative = 0.0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Adam(Strict):
    """`torch.optim.Adam`, whose weight decay is L2 in the gradient."""

    pytorch_only: ClassVar = frozenset({"name"})

    name: Literal["adam"]
    learning_rate: Positive
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0


class AdamW(Strict):
    """`torch.optim.AdamW`, whose weight decay is decoupled (Loshchilov and Hutter 2019).

    `decay_norms`: whether biases and parameters of one dimension, such as those of normalisations, decay too.
    """

    pytorch_only: ClassVar = frozenset({"name"})

    name: Literal["adamw"]
    learning_rate: Positive
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.01
    decay_norms: bool = True


class RMSprop(Strict):
    """`torch.optim.RMSprop`."""

    pytorch_only: ClassVar = frozenset({"name"})

    name: Literal["rmsprop"]
    learning_rate: Positive
    alpha: BelowOne = 0.99
    eps: Positive = 1e-8
    momentum: BelowOne = 0.0
    weight_decay: NotNegative = 0.0


class Cosine(Strict):
    """A linear warm-up from 0, step by step, then half a cosine down to 0."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[int, Field(ge=0)] = 0


class MultiStep(Strict):
    """The rate is multiplied by `gamma` at each milestone, a share of the run: 0.5 is epoch 100 of 200."""

    name: Literal["multistep"]
    milestones: Annotated[tuple[float, ...], Field(min_length=1)]
    gamma: Positive = 0.1

    @field_validator("milestones")
    @classmethod
    def _increasing_shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share < 1 for share in value):
            raise ValueError("milestones are shares of the run, between 0 and 1: epoch 100 of 200 is 0.5")
        if list(value) != sorted(set(value)):
            raise ValueError("milestones must increase")
        return value


class Step(Strict):
    """The rate is multiplied by `gamma` after each `every`, a share of the run: 0.25 is every 50 epochs of 200."""

    name: Literal["step"]
    every: Within
    gamma: Positive = 0.1


class Constant(Strict):
    """The same rate at every step."""

    name: Literal["constant"]


Optimizer = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="name")]
Schedule = Annotated[Cosine | MultiStep | Step | Constant, Field(discriminator="name")]
