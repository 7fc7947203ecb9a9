"""Web pages, their WebAssembly run by wasmtime. Needs no torch and no browser."""

from __future__ import annotations

import ctypes
import hashlib
import threading
from importlib.metadata import version
from typing import Any

import numpy as np
import wasmtime
from numpy.typing import NDArray

from mnist_edge.contract import (
    IMAGE_SHAPE,
    Images,
    Logits,
    check_images,
    check_logits,
    check_outputs,
)
from mnist_edge.errors import BadInput
from mnist_edge.formats.format import USUAL, Loading, claim_cpu
from mnist_edge.formats.web.bounds import check_net
from mnist_edge.formats.web.page import ENGINES, take_apart

_FIX = "give a page as mnist-edge export wrote it"
_MOST_MEMORY = 1 << 29


class WebBackend:
    """The net of a page on the CPU, in one thread, one picture at a time.

    Raises:
        BadInput: not a page that mnist-edge wrote, or its engine is none of ours.
    """

    name = "wasmtime"

    def __init__(self, data: bytes, how: Loading = USUAL) -> None:
        self.device = claim_cpu(how, "a page")
        page = take_apart(data)
        digest = hashlib.sha256(page.engine).hexdigest()
        if not any(digest in known for known in ENGINES.values()):
            raise BadInput("the WebAssembly of the page is none of mnist-edge's", fix=_FIX)
        outputs = check_net(page.net)
        self._classes = check_outputs(outputs, how.classes, source="the net of the page")
        self.version = version("wasmtime")
        self._lock = threading.Lock()
        try:
            self._engine: _Engine | None = _Engine(page.engine, page.net, self._classes)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise BadInput(f"the net of the page cannot start: {error!s:.200}", fix=_FIX) from None

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._engine is None:
            raise ValueError("the backend is closed")
        logits = np.empty((len(images), self._classes), np.float32)
        try:
            with self._lock:
                for image, row in zip(images, logits, strict=True):
                    self._engine.classify(image, row)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise BadInput(f"the net of the page cannot run: {error!s:.200}", fix=_FIX) from None
        return check_logits(logits, len(images), self._classes, source="the net of the page")

    def close(self) -> None:
        """See `Backend.close`."""
        self._engine = None


class _Engine:
    """One instance of the engine, with its net."""

    def __init__(self, engine: bytes, net: bytes, classes: int) -> None:
        runtime = wasmtime.Engine()
        self._store = store = wasmtime.Store(runtime)
        store.set_limits(memory_size=_MOST_MEMORY)
        # No imports: it can reach nothing but its own memory.
        module = wasmtime.Module(runtime, engine)
        exports: Any = wasmtime.Instance(store, module, []).exports(store)
        place = exports["place"](store, len(net))
        memory = exports["memory"]
        if place:
            memory.write(store, net, place)
        if not place or not exports["start"](store):
            raise BadInput("the net of the page wants more memory than there may be", fix=_FIX)
        self._classify = exports["classify"]
        picture, result = exports["picture"](store), self._classify(store)
        start = ctypes.addressof(memory.data_ptr(store).contents)
        self._picture = _numbers(start + picture, IMAGE_SHAPE)
        self._result = _numbers(start + result, (classes,))

    def classify(self, image: NDArray[np.float32], row: NDArray[np.float32]) -> None:
        self._picture[:] = image
        self._classify(self._store)
        row[:] = self._result


def _numbers(address: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A view of the memory of an instance, which stays where it is: it no longer grows."""
    size = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * size).from_address(address)).reshape(shape)
