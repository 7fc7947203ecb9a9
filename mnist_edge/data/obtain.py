"""Data sets as they are asked for: found, fetched, or drawn where that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mnist_edge.bundle.manifest import DataRecord
from mnist_edge.bundle.storage import cache_dir
from mnist_edge.data.mnist import DataSet, find_mnist, read_mnist
from mnist_edge.data.named import NAMED, find_named, folder_of, read_named
from mnist_edge.errors import MnistEdgeError, UsageError, needed_to
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import DataChoice, Preprocessing

_FETCH_TIMEOUT_S = 20.0


def obtain_data(
    choice: DataChoice | Path,
    data_dir: Path | None,
    *,
    preprocessing: Preprocessing | None = None,
    progress: Progress = silent,
    notice: Callable[[str], None] = lambda _: None,
) -> DataSet:
    """Find a data set, fetch it where it is nowhere, render digits, or read a folder.

    Args:
        choice: of a name, or a folder of one's own; `auto` takes rendered digits where MNIST
            cannot be had.
        data_dir: where to look first for one that has a name; there it must be.
        preprocessing: of the pictures of a folder; see `folder.read_folder`.
        progress: called while digits are fetched or rendered, or pictures read.
        notice: called with the reason when `auto` falls back, and how a folder was taken.

    Raises:
        DataUnavailable: what is asked for cannot be had, or is not where it was said to be.
        BadInput: a file of it is damaged, or the folder is none that can be taken.
        UsageError: `preprocessing` is given for anything but a folder.
    """
    if isinstance(choice, Path):
        from mnist_edge.data.folder import read_folder

        return read_folder(choice, preprocessing, progress=progress, notice=notice)
    if preprocessing is not None:
        raise UsageError(
            f"--preprocessing is for a folder: {choice} has its own", fix="leave it out"
        )
    if choice in NAMED:
        place = find_named(choice, data_dir)
        if place is None:
            from mnist_edge.data.fetch import fetch_named

            place = cache_dir() / folder_of(choice)
            fetch_named(choice, place, timeout_s=_FETCH_TIMEOUT_S, progress=progress)
        return read_named(choice, place)
    if choice != "rendered":
        try:
            folder = find_mnist(data_dir)
            if folder is None:
                from mnist_edge.data.fetch import fetch_mnist

                folder = fetch_mnist(cache_dir(), timeout_s=_FETCH_TIMEOUT_S, progress=progress)
            return read_mnist(folder)
        except MnistEdgeError as error:
            if choice == "mnist" or data_dir is not None:
                raise
            notice(f"MNIST cannot be had ({error.what}); going on with digits drawn from fonts")
    with needed_to("render digits"):
        from mnist_edge.data.fonts import rendered_data
    return rendered_data(progress=progress)


def known_data(record: DataRecord, data_dir: Path | None) -> DataSet | None:
    """The data set that a bundle names, where it is on this machine; None where it is not.

    That of a folder is where `data_dir` says; drawn digits are taken for none.

    Raises:
        DataUnavailable, BadInput: a folder was named, and it is not what lies there.
    """
    if record.name == "folder":
        if data_dir is None:
            return None
        from mnist_edge.data.folder import read_folder

        return read_folder(data_dir, record.preprocessing)
    if record.name in NAMED:
        place = find_named(record.name, data_dir)
        return read_named(record.name, place) if place else None
    if record.name != "mnist" and data_dir is None:
        return None
    found = find_mnist(data_dir)
    return read_mnist(found) if found else None
