"""Train a digit classifier, export it, prove the exports equal, predict without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.predict import Predictor as Predictor

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Lazy, so that `mnist-edge --version` and the like do not wait for numpy and Pillow.
    if name == "Predictor":
        from mnist_edge.predict import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
