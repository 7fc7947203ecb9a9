"""One artifact in every way it may be run: batches, graph optimisation, threads, kinds of input.

One random batch at one setting lies: exports have passed on noise and been off by 10 logits on a
photo. So each setting runs digits, and pictures that no digit is like.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.contract import IMAGE_SHAPE, SIDE, Images, Labels, Logits, to_images
from mnist_edge.errors import BadInput, LeftBehind, MissingDependency
from mnist_edge.formats import FORMATS, Loading, open_backend, reference_logits
from mnist_edge.formats.parity import compare
from mnist_edge.formats.running import gate_of, run_in_batches
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.machine import usable_threads
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import Device

Stratum: TypeAlias = Literal["digits", "black", "white", "one pixel", "noise"]

BATCH_SIZES = (1, 2, 3, 8, 64, 37)

# Two batches of the largest size, and one of it: 50 settings of a slow artifact take seconds.
_DIGITS = 128
_OTHERS = 64
_FEW = 8
# Of pictures that are no digits there are no right answers to lose.
_NO_LABELS: Labels = np.zeros(_OTHERS, np.int64)
_PIXEL_STEP = 485
_SEED = 0


@dataclass(frozen=True)
class Inputs:
    """One kind of input with the checkpoint's answers in double precision; labels of digits."""

    images: Images
    labels: Labels
    logits: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What one way of running an artifact gave.

    Attributes:
        batch_size: pictures in a run.
        optimization: of the graph; empty for a runtime that has no levels.
        threads: of the runtime.
        max_abs_errors: by kind of input, the largest difference of a logit to the checkpoint's.
        flips: by kind of input, how many answers changed.
        faults: why the gate does not hold; empty if it does, or if the artifact is never run so.
    """

    batch_size: int
    optimization: str
    threads: int
    max_abs_errors: dict[Stratum, float]
    flips: dict[Stratum, int]
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One artifact in all settings.

    Attributes:
        settings: by optimisation, threads and batch size.
        spread: the largest difference of a digit's logit between two settings in which it is run.
        repeatable: whether the same run gave the same bits, opened once or twice.
        any_input: whether an empty batch and an array with gaps are taken for what they are.
        images: by kind of input, how many the largest batches ran.
    """

    settings: tuple[Setting, ...]
    spread: float
    repeatable: bool
    any_input: bool
    images: dict[Stratum, int]

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the artifact cannot be relied on in every setting."""
        bad = [setting for setting in self.settings if setting.faults]
        faults = []
        if bad:
            faults.append(
                f"{len(bad)} of {len(self.settings)} settings fail, the first "
                f"{_name(bad[0])}: {bad[0].faults[0]}"
            )
        if not self.repeatable:
            faults.append("the same run gave other logits")
        if not self.any_input:
            faults.append("an empty batch or an array with gaps is misread")
        return tuple(faults)


def matrix_inputs(bundle: Bundle) -> dict[Stratum, Inputs]:
    """The digits of a bundle, and other pictures where the checkpoint can be run on them."""
    stored = bundle.reference()
    images, labels = to_images(stored.images[:_DIGITS]), stored.labels[:_DIGITS]
    inputs: dict[Stratum, Inputs] = {"digits": Inputs(images, labels, stored.logits[:_DIGITS])}
    try:
        for kind, images in _strange_images().items():
            inputs[kind] = Inputs(images, _NO_LABELS, reference_logits(bundle, images))
    except (BadInput, LeftBehind, MissingDependency):
        pass  # no torch, or no checkpoint: its answers to the digits travel with the bundle
    return inputs


def _strange_images() -> dict[Stratum, Images]:
    """Pictures that are no digits: all 0, all 1, one pixel at various places, and noise."""
    shape = (_OTHERS, *IMAGE_SHAPE)
    pixels = np.zeros((_OTHERS, SIDE * SIDE), np.float32)
    # A step that shares no factor with 784 comes by every part of the picture early.
    pixels[np.arange(_OTHERS), np.arange(_OTHERS) * _PIXEL_STEP % (SIDE * SIDE)] = 1
    return {
        "black": np.zeros(shape, np.float32),
        "white": np.ones(shape, np.float32),
        "one pixel": pixels.reshape(shape),
        "noise": np.random.default_rng(_SEED).random(shape, dtype=np.float32),
    }


def run_matrix(
    bundle: Bundle,
    artifact: Artifact,
    inputs: Mapping[Stratum, Inputs],
    *,
    batch_invariant: bool,
    device: Device = "cpu",
    progress: Progress = silent,
) -> Matrix:
    """Run an artifact in every setting.

    Args:
        bundle: where it lies.
        artifact: which one.
        inputs: `digits`, and whatever else the checkpoint's logits are known of.
        batch_invariant: if not, only batches of one are held to the gate: `predict` makes no other.
        device: that runs it.
        progress: in settings.

    Raises:
        BadInput, DeviceUnavailable, MissingDependency: it cannot be run.
    """
    levels = FORMATS[artifact.format].levels
    sessions = list(itertools.product(levels, (1, max(2, usable_threads()))))
    gate = gate_of(bundle.manifest, artifact, device)
    settings: list[Setting] = []
    deployed: list[Logits] = []  # of the digits
    for level, threads in sessions:
        how = Loading(device=device, threads=threads, optimization=level)
        with open_backend(bundle, artifact, how) as backend:
            for batch_size in BATCH_SIZES:
                progress(len(settings), len(sessions) * len(BATCH_SIZES), artifact.name)
                given = {kind: _enough(kind, inputs[kind], batch_size) for kind in inputs}
                logits = {
                    kind: run_in_batches(backend, part.images, batch_size)
                    for kind, part in given.items()
                }
                setting = Setting(
                    batch_size=batch_size,
                    optimization=level if len(levels) > 1 else "",
                    threads=threads,
                    max_abs_errors={kind: _error(logits[kind], given[kind]) for kind in given},
                    flips={kind: _flips(logits[kind], given[kind]) for kind in given},
                    faults=(),
                )
                if batch_invariant or batch_size == 1:
                    deployed.append(logits["digits"])
                    setting = replace(setting, faults=_faults(logits, given, gate))
                settings.append(setting)
    progress(len(settings), len(settings), artifact.name)
    images = inputs["digits"].images
    return Matrix(
        settings=tuple(settings),
        spread=float(np.ptp(np.stack(deployed), axis=0).max()),
        repeatable=_is_repeatable(bundle, artifact, Loading(device=device), images),
        any_input=_takes_any_input(bundle, artifact, Loading(device=device), images),
        images={kind: len(given.images) for kind, given in inputs.items()},
    )


def _enough(kind: Stratum, given: Inputs, batch_size: int) -> Inputs:
    """All digits, and of other pictures a full batch, or a few."""
    if kind == "digits":
        return given
    count = max(batch_size, _FEW)
    return Inputs(given.images[:count], given.labels[:count], given.logits[:count])


def _error(logits: Logits, given: Inputs) -> float:
    return float(np.abs(logits - given.logits).max())


def _flips(logits: Logits, given: Inputs) -> int:
    return int(np.count_nonzero(logits.argmax(axis=1) != given.logits.argmax(axis=1)))


def _faults(
    logits: Mapping[Stratum, Logits], inputs: Mapping[Stratum, Inputs], gate: Tolerance
) -> tuple[str, ...]:
    digits = inputs["digits"]
    parity = compare(logits["digits"], digits.logits, digits.labels, gate)
    faults = [f"pictures: {parity.reason}"] if parity.reason else []
    for kind, given in inputs.items():
        # Rounding grows with the logits, which a picture like no digit may drive far up.
        growth = max(1.0, float(np.abs(given.logits).max() / np.abs(digits.logits).max()))
        error = _error(logits[kind], given)
        if kind != "digits" and error > growth * gate.max_abs_error:
            faults.append(f"{kind}: largest error {error:.1e}")
    return tuple(faults)


def _is_repeatable(bundle: Bundle, artifact: Artifact, how: Loading, images: Images) -> bool:
    runs = []
    for _ in range(2):
        with open_backend(bundle, artifact, how) as backend:
            runs += [backend.run(images), backend.run(images)]
    return all(np.array_equal(run, runs[0]) for run in runs)


def _takes_any_input(bundle: Bundle, artifact: Artifact, how: Loading, images: Images) -> bool:
    with open_backend(bundle, artifact, how) as backend:
        gaps = backend.run(images[::-2])
        return len(backend.run(images[:0])) == 0 and np.array_equal(
            gaps, backend.run(images[::-2].copy())
        )


def _name(setting: Setting) -> str:
    level = f", optimisation {setting.optimization}" if setting.optimization else ""
    return f"batch {setting.batch_size}, {setting.threads} threads{level}"
