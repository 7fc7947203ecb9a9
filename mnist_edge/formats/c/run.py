"""C files, built by the machine's own compiler and called in this process. Needs no torch.

Bytes are built and run only after a digest has vouched for them: C can do anything.
"""

from __future__ import annotations

import re
from ctypes import POINTER, PyDLL, byref, c_float, c_int
from typing import TYPE_CHECKING

import numpy as np

from mnist_edge.contract import IMAGE_SHAPE, Images, Logits, check_images, check_logits
from mnist_edge.errors import BadInput
from mnist_edge.formats.c.compiler import build_library, built_bytes, find_compiler
from mnist_edge.formats.format import USUAL, Loading, claim_cpu

if TYPE_CHECKING:
    from ctypes import _NamedFuncPointer

_FIX = "give a C file as mnist-edge export wrote it"


class CBackend:
    """A C file that mnist-edge wrote, on the CPU, in one thread.

    Raises:
        BadInput: not such a file, another signature than ours, or the compiler refuses it.
        MissingDependency: there is no C compiler.
    """

    def __init__(self, data: bytes, how: Loading = USUAL) -> None:
        self.device = claim_cpu(how, "a C file")
        function, workspace_size = _read_header(data, how.classes)
        self._classes = how.classes
        compiler = find_compiler()
        self._library = library = build_library(data, compiler)
        self.name, self.version = compiler.kind, compiler.version
        try:
            # PyDLL keeps the interpreter's lock: no other thread can enter the same workspace.
            classify = PyDLL(str(library))[function]
        except (OSError, AttributeError) as error:
            raise BadInput(f"the built C file cannot be loaded: {error}", fix=_FIX) from None
        numbers = POINTER(c_float)
        classify.argtypes = [numbers, c_int, numbers, numbers]
        classify.restype = None
        self._classify: _NamedFuncPointer | None = classify
        self._workspace = (c_float * workspace_size)()

    @property
    def built_bytes(self) -> int:
        """Of the code and data that the compiler made of the file; 0 where nothing tells."""
        return built_bytes(self._library)

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._classify is None:
            raise ValueError("the backend is closed")
        logits = np.empty((len(images), self._classes), np.float32)
        if len(images):
            # from_buffer takes a fifth of the time of images.ctypes, but no read-only array.
            images = images if images.flags.writeable else images.copy()
            self._classify(
                byref(c_float.from_buffer(images.data)),
                len(images),
                byref(c_float.from_buffer(logits.data)),
                self._workspace,
            )
        return check_logits(logits, len(images), self._classes, source="the C file")

    def close(self) -> None:
        """See `Backend.close`. The code stays mapped, as Python unloads no library."""
        self._classify = None


def _read_header(data: bytes, classes: int) -> tuple[str, int]:
    """The name of the function, and the size of its workspace in numbers."""
    text = data.decode("utf-8", errors="replace")
    name = re.search(r"^void (\w+)_logits\(const float \*", text, re.MULTILINE)
    sizes = {
        key: int(size)
        for key, size in re.findall(r"^#define \w+_([A-Z]+) (\d+)$", text, re.MULTILINE)
    }
    if name is None or "WORKSPACE" not in sizes:
        raise BadInput("not a C file of mnist-edge", fix=_FIX)
    found = (sizes.get("PICTURE"), sizes.get("CLASSES"))
    expected = (int(np.prod(IMAGE_SHAPE)), classes)
    if found != expected:
        raise BadInput(
            f"the C file maps {found[0]} numbers to {found[1]}, "
            f"expected {expected[0]} to {expected[1]}",
            fix=_FIX,
        )
    function = f"{name[1]}_logits"
    # Since the sizes are part of its name, the name in the file stands for a longer one.
    full = re.search(rf"^#define {function} (\w+)$", text, re.MULTILINE)
    return full[1] if full else function, sizes["WORKSPACE"]
