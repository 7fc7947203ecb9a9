"""What is asked for, as frozen dataclasses.

Every default of the project stands here once; the command line shows it. Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import get_args

from mnist_edge.errors import UsageError
from mnist_edge.recipes.terms import Architecture, Optimizer, Schedule, check_range, unknown_name

WIDTH_COUNTS: dict[Architecture, tuple[int, ...]] = {
    "simple": (1,),
    "dropout": (3,),
    "lenet": (4,),
    "batchnorm": (2,),
    "wide": (3,),
    "compact": (2,),
    "deep": (4, 6, 8),
    "tiny": (4,),
}
"""How many widths each architecture takes."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far a training digit is distorted; every range is drawn uniformly per digit.

    Attributes:
        shift_px: largest shift along each axis, in pixels.
        rotation_deg: largest rotation either way, in degrees.
        scale: largest relative change of size along each axis.
        shear: largest horizontal shear, as a slope.
        elastic_px: largest displacement of a node of the grid that bends the digit, in pixels.
        thickness: largest blend with the digit dilated or eroded by one pixel, 0 to 1.
        anneal: the share of the training, at its end, that runs on undistorted digits.
    """

    shift_px: float = 0.0
    rotation_deg: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic_px: float = 0.0
    thickness: float = 0.0
    anneal: float = 0.0

    def __post_init__(self) -> None:
        check_range("shift-px", self.shift_px, 0.0, 28.0)
        check_range("rotation-deg", self.rotation_deg, 0.0, 180.0)
        check_range("scale", self.scale, 0.0, 1.0)
        check_range("shear", self.shear, 0.0, 1.0)
        check_range("elastic-px", self.elastic_px, 0.0, 28.0)
        check_range("thickness", self.thickness, 0.0, 1.0)
        check_range("anneal", self.anneal, 0.0, 1.0)

    @property
    def moves(self) -> bool:
        """Whether any digit is turned, sheared, scaled, shifted or bent."""
        return any((self.shift_px, self.rotation_deg, self.scale, self.shear, self.elastic_px))

    @property
    def active(self) -> bool:
        """Whether any digit is changed at all."""
        return self.moves or self.thickness > 0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the reproduced project says of itself. Accuracies in percent; 0 where it is silent."""

    project: str
    test_accuracy: float = 0.0
    train_accuracy: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """One training, completely: the same recipe, seed, data and machine give the same weights.

    Attributes:
        architecture: a key of `models.ARCHITECTURES`.
        widths: channels of the layers, for the architectures that leave them open.
        epochs: passes over the training set.
        batch_size: digits per step.
        learning_rate: the largest rate of the schedule.
        schedule: `onecycle` rises for `warmup` of the steps and falls to zero along a cosine;
            `step` multiplies by 0.1 after half and after three quarters of the epochs.
        warmup: the share of the steps in which `onecycle` rises.
        weight_decay: decoupled for `adamw`, L2 for `adam`.
        label_smoothing: mass taken from the true class and spread over all.
        mean, std: the normalisation, carried inside the graph as its first step.
        average: decay of the exponential moving average of the weights per step; 0 keeps none.
        augmentation: distortion of the training digits.
        strokes: drawn digits that join the training set (`strokes.stroke_digits`).
        symbols: drawn signs that are no digit, and that the net learns to be unsure of.
        teacher: SHA-256 of the weights of the net whose answers are learnt besides the labels;
            empty for none.
        teacher_weight: share of the loss that those answers make up.
        teacher_temperature: both nets' logits are divided by it, for those answers alone.
        temperature: the logits are divided by it, inside the graph, so that the softmax is a
            calibrated probability.
        reject_below: a digit with a smaller probability counts as no digit; 0 rejects nothing.
        seed: of everything random: initial weights, order, distortion, dropout.
        claim: the figures of the project that this recipe reproduces.
    """

    name: str
    architecture: Architecture
    epochs: int
    batch_size: int
    learning_rate: float
    widths: tuple[int, ...] = ()
    optimizer: Optimizer = "adam"
    schedule: Schedule = "constant"
    warmup: float = 0.25
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    average: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    strokes: int = 0
    symbols: int = 0
    teacher: str = ""
    teacher_weight: float = 0.7
    teacher_temperature: float = 2.0
    temperature: float = 1.0
    reject_below: float = 0.0
    seed: int = 0
    claim: Claim | None = None

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, 1, 10_000)
        check_range("batch-size", self.batch_size, 1, 60_000)
        check_range("learning-rate", self.learning_rate, 1e-9, 100.0)
        check_range("warmup", self.warmup, 0.0, 1.0)
        check_range("weight-decay", self.weight_decay, 0.0, 10.0)
        check_range("label-smoothing", self.label_smoothing, 0.0, 0.9)
        check_range("average", self.average, 0.0, 0.999999)
        check_range("strokes", self.strokes, 0, 1_000_000)
        check_range("symbols", self.symbols, 0, 1_000_000)
        check_range("teacher-weight", self.teacher_weight, 0.0, 1.0)
        check_range("teacher-temperature", self.teacher_temperature, 0.01, 100.0)
        check_range("temperature", self.temperature, 0.01, 100.0)
        check_range("reject-below", self.reject_below, 0.0, 1.0)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("mean", self.mean, -1e6, 1e6)
        check_range("std", self.std, 1e-6, 1e6)
        for width in self.widths:
            check_range("widths", width, 1, 4096)
        for name, value, kind in (
            ("architecture", self.architecture, Architecture),
            ("optimizer", self.optimizer, Optimizer),
            ("schedule", self.schedule, Schedule),
        ):
            if value not in get_args(kind):
                raise unknown_name(name, value, get_args(kind))
        if self.teacher and not re.fullmatch("[0-9a-f]{64}", self.teacher):
            raise UsageError(
                f"{self.teacher!r:.80} is no SHA-256 of a teacher's weights",
                fix="name the bundle of the teacher: --teacher FOLDER",
            )
        if len(self.widths) not in WIDTH_COUNTS[self.architecture]:
            counts = " or ".join(map(str, WIDTH_COUNTS[self.architecture]))
            raise UsageError(
                f"{self.architecture} has no use for {len(self.widths)} widths",
                fix=f"give --widths {counts} times",
            )

    @property
    def taught(self) -> bool:
        """Whether a teacher has a say."""
        return bool(self.teacher) and self.teacher_weight > 0
