"""Many pictures, read by several processes where that pays.

Reading holds Python's lock most of the time, so that threads would wait for each other.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mnist_edge.errors import MnistEdgeError
from mnist_edge.picture import Picture, Source, load_picture, split_digits
from mnist_edge.recipes.terms import Preprocessing

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOOK_S = 0.1  # in which the first pictures tell how long one takes
# Of reading that must lie ahead: some times what a process takes to start, which is what this one
# took until it read, if it was started for that.
_PAYS_S, _STARTS = 2.0, 3
# Of one task, which costs a millisecond beside the reading: its time, and its pictures.
_TASK_S, _FEWEST, _MOST = 0.03, 8, 64
_AHEAD = 3  # tasks of one process that wait or are done

Loaded: TypeAlias = tuple[Picture, ...] | MnistEdgeError


def load_pictures(
    sources: Sequence[Source],
    *,
    many: bool,
    preprocessing: Preprocessing = "digit",
    processes: int = 1,
) -> Iterator[Loaded]:
    """Read pictures, and give of each, in their order, its digits or why it cannot be read.

    Args:
        sources: of the pictures.
        many: all digits of each, instead of one.
        preprocessing: what is done to each.
        processes: that may read at once. More than this one start where all sources are files and
            enough of them are left when it shows how long one takes; they end with the generator.
    """
    load = partial(_load, many=many, preprocessing=preprocessing)
    done, spent_s = 0, 0.0
    if processes > 1 and all(isinstance(source, Path) for source in sources):
        while spent_s < _LOOK_S and done < len(sources):
            began_s = time.monotonic()
            loaded = load(sources[done])
            done, spent_s = done + 1, spent_s + time.monotonic() - began_s
            yield loaded
        each_s = spent_s / max(done, 1)
        if each_s * (len(sources) - done) > min(_PAYS_S, _STARTS * time.process_time()):
            fitting = int(_TASK_S / each_s) if each_s else _FEWEST
            size = min(max(fitting, _FEWEST), _MOST)
            yield from _load_apart(sources[done:], load, processes, size)
            return
    yield from map(load, sources[done:])


def _load_apart(
    sources: Sequence[Source], load: partial[Loaded], processes: int, size: int
) -> Iterator[Loaded]:
    """The same by other processes, no more than a few tasks ahead of what is asked for."""
    # Imported where there is work for them: one picture does not wait for it.
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
    from multiprocessing import get_context

    chunks = deque(sources[at : at + size] for at in range(0, len(sources), size))
    waiting: deque[tuple[Sequence[Source], Future[list[Loaded]]]] = deque()
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _follow_parent)
    try:
        while chunks or waiting:
            while chunks and len(waiting) < _AHEAD * processes:
                chunk = chunks.popleft()
                waiting.append((chunk, pool.submit(_load_chunk, chunk, load)))
            chunk, future = waiting.popleft()
            try:
                yield from future.result()
            except BrokenProcessPool:  # killed, or there was no memory: on in this one
                rest = [*chunk, *(source for other, _ in waiting for source in other)]
                yield from map(load, [*rest, *(source for other in chunks for source in other)])
                return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load_chunk(sources: Sequence[Source], load: partial[Loaded]) -> list[Loaded]:
    return [load(source) for source in sources]


def _load(source: Source, *, many: bool, preprocessing: Preprocessing) -> Loaded:
    try:
        return split_digits(source) if many else (load_picture(source, preprocessing),)
    except MnistEdgeError as error:
        return error


def _follow_parent() -> None:
    """Leave Ctrl-C to the process that asked, and end with it, however that ends."""
    from multiprocessing import parent_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=follow, daemon=True).start()
