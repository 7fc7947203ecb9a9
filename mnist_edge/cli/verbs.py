"""The verbs, each of which is imported as it is typed: `--help` and `predict` wait for no other."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType


PROGRAM = "mnist-edge"


class Entry(NamedTuple):
    """A verb as it is listed.

    Attributes:
        module: of `mnist_edge.cli`, with `command` and `EPILOG`.
        summary: the first paragraph of the docstring of its `command`.
    """

    module: str
    panel: str
    summary: str


_MAKE, _PROVE, _USE = "Make a model", "Prove and measure it", "Use it"
VERBS = {
    "run": Entry(
        "run",
        _MAKE,
        "Train, export, verify, bench and predict in a few minutes: the whole chain at once.",
    ),
    "train": Entry(
        "train",
        _MAKE,
        "Train a model and write its bundle: weights, reference digits, history and curves.",
    ),
    "import": Entry(
        "import_weights",
        _MAKE,
        "Make a bundle of a net that you already have; its accuracy is measured.",
    ),
    "recipes": Entry(
        "recipes", _MAKE, "List the training recipes, with what was measured of each."
    ),
    "export": Entry(
        "export", _MAKE, "Export the model, and verify each artifact as it is written."
    ),
    "verify": Entry(
        "verify",
        _PROVE,
        "Compare each artifact with the checkpoint: on the reference, and on MNIST's test set.",
    ),
    "bench": Entry(
        "bench",
        _PROVE,
        "Measure latency, throughput and size of each artifact, in turns with all others.",
    ),
    "sign": Entry(
        "sign", _PROVE, "Sign a bundle with an SSH key, so that others can tell that it is yours."
    ),
    "report": Entry(
        "report",
        _PROVE,
        "Write one page on a model: curves, confusion matrix, its errors, its artifacts.",
    ),
    "doctor": Entry(
        "doctor",
        _PROVE,
        "Say what works here, and test a bundle or one file with the answers that it carries.",
    ),
    "pack": Entry(
        "pack", _USE, "Copy what a device needs of a bundle: one artifact, and what proves it."
    ),
    "predict": Entry(
        "predict",
        _USE,
        "Name the digit in each picture, with its probability. Works without torch.",
    ),
}


def module_of(verb: str) -> ModuleType:
    """Where a verb lies, with its `command` and `EPILOG`."""
    return import_module(f"mnist_edge.cli.{VERBS[verb].module}")
