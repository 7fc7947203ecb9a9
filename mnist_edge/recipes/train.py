"""What is asked for, as frozen dataclasses.

Every default of the project stands here once; the command line shows it. Standard library only.
"""

# No annotations as text here: a recipe is read by their types, and each text would be compiled.

import re
from dataclasses import field
from typing import Annotated

from mnist_edge.errors import UsageError
from mnist_edge.recipes.classes import DIGITS, MOST_CLASSES
from mnist_edge.recipes.fields import Setting, check_fields
from mnist_edge.recipes.frozen import frozen
from mnist_edge.recipes.terms import Architecture, MixedPrecision, Optimizer, Schedule, check_range

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


# The headings under which `train --help` lists the fields.
_NET = "Recipe: the net"
_COURSE = "Recipe: the course of the training"
_DIGITS = "Recipe: distortion and drawn digits"
_TEACHER = "Recipe: knowledge distillation"
_ANSWERS = "Recipe: what the answers are worth"


@frozen
class Augmentation:
    """How far a training digit is distorted; every range is drawn uniformly per digit."""

    shift_px: Annotated[float, Setting("Largest shift, in pixels.", 0, 28, _DIGITS)] = 0.0
    rotation_deg: Annotated[float, Setting("Largest rotation, in degrees.", 0, 180, _DIGITS)] = 0.0
    scale: Annotated[float, Setting("Largest relative change of size.", 0, 1, _DIGITS)] = 0.0
    shear: Annotated[float, Setting("Largest shear, as a slope.", 0, 1, _DIGITS)] = 0.0
    elastic_px: Annotated[
        float, Setting("Largest elastic displacement, in pixels.", 0, 28, _DIGITS)
    ] = 0.0
    thickness: Annotated[
        float, Setting("Largest thickening or thinning of strokes, 0 to 1.", 0, 1, _DIGITS)
    ] = 0.0
    anneal: Annotated[
        float,
        Setting("Share of the training, its last, that sees undistorted digits.", 0, 1, _DIGITS),
    ] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def moves(self) -> bool:
        """Whether any digit is turned, sheared, scaled, shifted or bent."""
        return any((self.shift_px, self.rotation_deg, self.scale, self.shear, self.elastic_px))

    @property
    def active(self) -> bool:
        """Whether any digit is changed at all."""
        return self.moves or self.thickness > 0


@frozen
class Claim:
    """What the reproduced project says of itself. Accuracies in percent; 0 where it is silent."""

    project: str
    test_accuracy: float = 0.0
    train_accuracy: float = 0.0


@frozen
class TrainRecipe:
    """One training, completely: the same recipe, seed, data and machine give the same weights.

    `claim` holds the figures of the project that a recipe reproduces.
    """

    name: str
    # A key of `models.ARCHITECTURES`.
    architecture: Annotated[Architecture, Setting("The network.", group=_NET)]
    epochs: Annotated[int, Setting("Passes over the training set.", 1, 10_000, _COURSE)]
    batch_size: Annotated[int, Setting("Digits per step.", 1, 60_000, _COURSE)]
    learning_rate: Annotated[
        float, Setting("The largest rate of the schedule.", 1e-9, 100, _COURSE)
    ]
    widths: Annotated[
        tuple[int, ...],
        Setting("Channels of one layer; repeat it for the next layer.", 1, 4096, _NET),
    ] = ()
    # The classes: what the data hold, not what is asked for.
    outputs: int = field(default=len(DIGITS), metadata={"later": True})
    optimizer: Annotated[Optimizer, Setting("The optimizer.", group=_COURSE)] = "adam"
    # `onecycle` rises and then falls to zero along a cosine; `step` multiplies by 0.1 after half
    # and after three quarters of the epochs.
    schedule: Annotated[Schedule, Setting("How the learning rate changes.", group=_COURSE)] = (
        "constant"
    )
    warmup: Annotated[
        float, Setting("Share of the steps in which onecycle rises.", 0, 1, _COURSE)
    ] = 0.25
    weight_decay: Annotated[float, Setting("Decoupled for adamw, L2 for adam.", 0, 10, _COURSE)] = (
        0.0
    )
    label_smoothing: Annotated[
        float, Setting("Probability moved from the true class to all.", 0, 0.9, _COURSE)
    ] = 0.0
    # The normalisation: the first step of the graph.
    mean: Annotated[float, Setting("Subtracted inside the graph.", -1e6, 1e6, _NET)] = 0.0
    std: Annotated[float, Setting("Divided by inside the graph.", 1e-6, 1e6, _NET)] = 1.0
    average: Annotated[
        float,
        Setting("Decay of the averaged weights per step; 0 keeps none.", 0, 0.999999, _COURSE),
    ] = 0.0
    mixed_precision: Annotated[
        MixedPrecision, Setting("Type of the products, where float32 takes longer.", group=_COURSE)
    ] = field(default="off", metadata={"later": True})
    augmentation: Augmentation = field(default_factory=Augmentation)
    # What is known at first sight need not be shown again (selective backpropagation: Jiang et al.
    # 2019).
    skip_easy: Annotated[
        float,
        Setting(
            "Share of the digits that only the first epoch shows, its easiest.", 0, 0.99, _COURSE
        ),
    ] = field(default=0.0, metadata={"later": True})
    # A teacher takes as long for its answers as a small net for its step.
    epochs_per_view: Annotated[
        int,
        Setting("Epochs that see the same distorted digits, answered once.", 1, 10_000, _COURSE),
    ] = field(default=1, metadata={"later": True})
    strokes: Annotated[
        int, Setting("Drawn digits that join the training set.", 0, 1_000_000, _DIGITS)
    ] = 0
    symbols: Annotated[
        int, Setting("Drawn out-of-distribution examples, to be unsure of.", 0, 1_000_000, _DIGITS)
    ] = 0
    # Here the SHA-256 of its weights; empty for none.
    teacher: Annotated[
        str, Setting("The bundle of the teacher, whose answers are learned, too.", group=_TEACHER)
    ] = ""
    teacher_weight: Annotated[
        float, Setting("Share of the loss that a teacher's answers make up.", 0, 1, _TEACHER)
    ] = 0.7
    teacher_temperature: Annotated[
        float, Setting("Softens both nets' answers to each other.", 0.01, 100, _TEACHER)
    ] = 2.0
    temperature: Annotated[
        float, Setting("Divides the logits, for calibrated probabilities.", 0.01, 100, _ANSWERS)
    ] = 1.0
    reject_below: Annotated[
        float, Setting("Confidence threshold: below it there is no digit.", 0, 1, _ANSWERS)
    ] = 0.0
    # What is no digit is spread over more of them, which counts more in softened probabilities
    # (ODIN: Liang, Li and Srikant, ICLR 2018).
    reject_temperature: Annotated[
        float, Setting("Divides the logits before that threshold.", 0.01, 100, _ANSWERS)
    ] = field(default=1.0, metadata={"later": True})  # see `bundle.codec.LATER`
    seed: Annotated[int, Setting("Of everything random.", 0, 2**32 - 1, _COURSE)] = 0
    claim: Claim | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("outputs", self.outputs, 2, MOST_CLASSES)
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
