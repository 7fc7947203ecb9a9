"""Time several builds of one model in this process, in turns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from ctypes import CDLL, POINTER, byref, c_float, c_int
from pathlib import Path

import numpy as np
from abba import plan

from mnist_edge.contract import Images, Logits
from mnist_edge.recipes.classes import DIGITS

# Digits a round: enough that starting the clock does not count.
TIMED = 128
_WARMUP = 8


class Library:
    """A model that was built together with `timed.c`."""

    def __init__(self, path: Path, workspace_bytes: int) -> None:
        self._run = CDLL(str(path))["one_by_one"]
        numbers = POINTER(c_float)
        self._run.argtypes = [numbers, c_int, numbers, numbers]
        self._run.restype = None
        self._workspace = (c_float * (workspace_bytes // 4))()

    def answer(self, images: Images) -> tuple[Logits, float]:
        """The class scores of digits, one by one, and how many seconds each took."""
        logits = np.empty((len(images), len(DIGITS)), np.float32)
        pictures = byref(c_float.from_buffer(images.data))
        scores = byref(c_float.from_buffer(logits.data))
        start = time.perf_counter()
        self._run(pictures, len(images), scores, self._workspace)
        return logits, (time.perf_counter() - start) / len(images)


def time_builds(
    libraries: Mapping[str, Library], images: Images, *, rounds: int, seed: int
) -> dict[str, list[float]]:
    """Seconds for a picture, of each build in each round, once it is in the cache."""
    timed = images[:TIMED]
    samples_s: dict[str, list[float]] = {name: [] for name in libraries}
    for name in plan(tuple(libraries), rounds, seed):
        libraries[name].answer(images[:_WARMUP])
        samples_s[name].append(libraries[name].answer(timed)[1])
    return samples_s
