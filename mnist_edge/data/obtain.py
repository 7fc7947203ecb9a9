"""Data sets as they are asked for: found, fetched, or drawn where that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mnist_edge.bundle.storage import cache_dir
from mnist_edge.data.mnist import DataSet, find_mnist, read_mnist
from mnist_edge.errors import MnistEdgeError, needed_to
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import DataChoice

_FETCH_TIMEOUT_S = 20.0


def obtain_data(
    choice: DataChoice,
    data_dir: Path | None,
    *,
    progress: Progress = silent,
    notice: Callable[[str], None] = lambda _: None,
) -> DataSet:
    """Find MNIST, fetch it where it is nowhere, or render digits.

    Args:
        choice: `auto` takes rendered digits where MNIST cannot be had.
        data_dir: where to look first; there it must be.
        progress: called while digits are fetched or rendered.
        notice: called with the reason when `auto` falls back.

    Raises:
        DataUnavailable: MNIST is asked for and cannot be had, or is not where it was said to be.
    """
    if choice != "rendered":
        try:
            folder = find_mnist(data_dir) or _fetch(progress)
            return read_mnist(folder)
        except MnistEdgeError as error:
            if choice == "mnist" or data_dir is not None:
                raise
            notice(f"MNIST cannot be had ({error.what}); going on with digits drawn from fonts")
    with needed_to("render digits"):
        from mnist_edge.data.fonts import rendered_data
    return rendered_data(progress=progress)


def _fetch(progress: Progress) -> Path:
    with needed_to("fetch MNIST"):
        from mnist_edge.data.fetch import fetch_mnist
    return fetch_mnist(cache_dir(), timeout_s=_FETCH_TIMEOUT_S, progress=progress)
