"""What is asked for, as frozen dataclasses.

Every default of the project stands here once; the command line shows it. Standard library only.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from mnist_edge.errors import UsageError

Format: TypeAlias = Literal["checkpoint", "torchscript", "pt2", "onnx", "ort", "c"]
Precision: TypeAlias = Literal["float32", "float16", "int8-dynamic", "int8"]
Device: TypeAlias = Literal["cpu", "cuda", "mps"]
DeviceChoice: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
Mode: TypeAlias = Literal["plain", "compile", "cuda-graph"]
DataName: TypeAlias = Literal["mnist", "rendered"]
DataChoice: TypeAlias = Literal["auto", "mnist", "rendered"]
Architecture: TypeAlias = Literal[
    "simple", "dropout", "lenet", "batchnorm", "wide", "compact", "deep", "tiny"
]
Optimizer: TypeAlias = Literal["adam", "adamw"]
Schedule: TypeAlias = Literal["constant", "step", "onecycle"]

DEFAULT_ARTIFACT = "onnx-float32"

# Opset 18 with IR 8: the newest pair that ONNX Runtime 1.14 and everything later loads. The
# exporter cannot write an older opset, and from 22 on ONNX Runtime loses the int8 MaxPool fusion.
DEFAULT_OPSET = 18
OPSETS = range(18, 22)

MATRIX: dict[Format, tuple[Precision, ...]] = {
    "torchscript": ("float32", "float16", "int8-dynamic"),
    "pt2": ("float32", "float16"),
    "onnx": ("float32", "float16", "int8-dynamic", "int8"),
    "ort": ("float32", "int8"),
    "c": ("float32", "int8"),
}
"""The pairs of format and precision that `export` can write."""

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


def unknown_name(what: str, name: str, known: tuple[str, ...]) -> UsageError:
    """The error for a name that is in no table, with the nearest one that is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(f"unknown {what} {name!r:.60}", fix=f"{hint}choose from {', '.join(known)}")


def _check_range(option: str, value: float, low: float, high: float) -> None:
    if not (low <= value <= high):  # also catches NaN
        raise UsageError(
            f"--{option} is {value!r:.30}, which is outside {low:g} to {high:g}",
            fix=f"give --{option} a value in that range",
        )


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
        _check_range("shift-px", self.shift_px, 0.0, 28.0)
        _check_range("rotation-deg", self.rotation_deg, 0.0, 180.0)
        _check_range("scale", self.scale, 0.0, 1.0)
        _check_range("shear", self.shear, 0.0, 1.0)
        _check_range("elastic-px", self.elastic_px, 0.0, 28.0)
        _check_range("thickness", self.thickness, 0.0, 1.0)
        _check_range("anneal", self.anneal, 0.0, 1.0)

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
        _check_range("epochs", self.epochs, 1, 10_000)
        _check_range("batch-size", self.batch_size, 1, 60_000)
        _check_range("learning-rate", self.learning_rate, 1e-9, 100.0)
        _check_range("warmup", self.warmup, 0.0, 1.0)
        _check_range("weight-decay", self.weight_decay, 0.0, 10.0)
        _check_range("label-smoothing", self.label_smoothing, 0.0, 0.9)
        _check_range("average", self.average, 0.0, 0.999999)
        _check_range("strokes", self.strokes, 0, 1_000_000)
        _check_range("symbols", self.symbols, 0, 1_000_000)
        _check_range("teacher-weight", self.teacher_weight, 0.0, 1.0)
        _check_range("teacher-temperature", self.teacher_temperature, 0.01, 100.0)
        _check_range("temperature", self.temperature, 0.01, 100.0)
        _check_range("reject-below", self.reject_below, 0.0, 1.0)
        _check_range("seed", self.seed, 0, 2**32 - 1)
        _check_range("mean", self.mean, -1e6, 1e6)
        _check_range("std", self.std, 1e-6, 1e6)
        for width in self.widths:
            _check_range("widths", width, 1, 4096)
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


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """Which artifacts `export` writes.

    Attributes:
        formats: in the order they are written.
        precisions: every pair with `formats` that the matrix has is written.
        opset: the ONNX operator set; what is asked for is what the file says.
        allow_mismatch: keep an artifact that failed parity, marked so in the manifest.
    """

    formats: tuple[Format, ...] = ("torchscript", "onnx")
    precisions: tuple[Precision, ...] = ("float32",)
    opset: int = DEFAULT_OPSET
    allow_mismatch: bool = False

    def __post_init__(self) -> None:
        for format_ in self.formats:
            if format_ not in MATRIX:
                raise unknown_name("format", format_, tuple(MATRIX))
        for precision in self.precisions:
            if precision not in get_args(Precision):
                raise unknown_name("precision", precision, get_args(Precision))
        if not self.formats or not self.precisions:
            raise UsageError("nothing to export", fix="give at least one format and precision")
        if self.opset not in OPSETS:
            raise UsageError(
                f"opset {self.opset} is not supported",
                fix=f"choose --opset {OPSETS.start} to {OPSETS.stop - 1}",
            )
        for precision in self.precisions:
            if not any(precision in MATRIX[format_] for format_ in self.formats):
                raise UsageError(
                    f"{' and '.join(self.formats)} cannot hold {precision}",
                    fix="see the matrix in mnist-edge export --help",
                )

    @property
    def pairs(self) -> tuple[tuple[Format, Precision], ...]:
        """The artifacts to write; float32 first, since the others are made from it."""
        return tuple(
            (format_, precision)
            for precision in get_args(Precision)
            if precision in self.precisions
            for format_ in dict.fromkeys(self.formats)
            if precision in MATRIX[format_]
        )


@dataclass(frozen=True, kw_only=True)
class BenchRecipe:
    """How latency is measured.

    Attributes:
        processes: fresh processes per artifact and device.
        warmup_s: seconds of warm-up, and `warmup_runs` at least; kept apart, not thrown away.
        duration_s: seconds of timed single-picture runs per process, `min_runs` at least.
        keep_samples: of each process, in the report: every k-th run where there were more.
        batch_sizes: for throughput.
        rates: pictures per second that arrive whether or not the last one is done.
        sweep_s: seconds of runs per batch size, rate and process, `sweep_runs` at least.
        threads: of each runtime, always set.
        sweep_threads: further thread counts; each is a row of its own.
        timeout_s: after which a process counts as hung.
        seed: of the order in which the processes run.
    """

    processes: int = 3
    warmup_s: float = 0.3
    warmup_runs: int = 50
    duration_s: float = 1.0
    min_runs: int = 700
    keep_samples: int = 5_000
    batch_sizes: tuple[int, ...] = (1, 8, 64, 256)
    rates: tuple[float, ...] = (1000.0,)
    sweep_s: float = 0.25
    sweep_runs: int = 11
    threads: int = 1
    sweep_threads: tuple[int, ...] = ()
    timeout_s: float = 300.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_range("processes", self.processes, 1, 1000)
        _check_range("warmup", self.warmup_s, 0.0, 3600.0)
        _check_range("warmup-runs", self.warmup_runs, 0, 10**9)
        _check_range("duration", self.duration_s, 0.01, 86400.0)
        _check_range("min-runs", self.min_runs, 1, 10**9)
        _check_range("keep-samples", self.keep_samples, 1, 10**9)
        _check_range("sweep", self.sweep_s, 0.0, 3600.0)
        _check_range("sweep-runs", self.sweep_runs, 1, 10**9)
        _check_range("threads", self.threads, 1, 1024)
        _check_range("timeout", self.timeout_s, 1.0, 10**6)
        for batch_size in self.batch_sizes:
            _check_range("batch-sizes", batch_size, 1, 60_000)
        for rate in self.rates:
            _check_range("rates", rate, 0.1, 10**6)
        for threads in self.sweep_threads:
            _check_range("sweep-threads", threads, 1, 1024)


BENCH_RECIPES: dict[str, BenchRecipe] = {
    "quick": BenchRecipe(
        processes=1, warmup_s=0.2, duration_s=0.5, batch_sizes=(1, 64), rates=(), sweep_s=0.1
    ),
    "default": BenchRecipe(),
    # 6,636 samples are what a p99.9 needs.
    "thorough": BenchRecipe(
        processes=5, warmup_s=1.0, duration_s=5.0, min_runs=6_636, keep_samples=10_000
    ),
}
"""`bench --quick`, `bench` and `bench --thorough`."""

# Processes of one artifact differ more than their samples do, so there are many, and each is short.
SELF_TEST_RECIPE = BenchRecipe(
    processes=6, warmup_s=0.1, duration_s=0.25, batch_sizes=(), rates=(), sweep_s=0.0
)
"""`bench --self-test`."""

ADVICE_RECIPE = BenchRecipe(
    warmup_s=0.1, duration_s=0.3, min_runs=200, batch_sizes=(), rates=(), sweep_s=0.0
)
"""What `export` of several precisions ends with: enough for a median and its ratio."""

QUICK_ARTIFACTS = ("checkpoint-float32", "onnx-float32", "onnx-int8-dynamic", "onnx-int8")
"""What `bench --quick` measures, as far as the bundle has it."""
