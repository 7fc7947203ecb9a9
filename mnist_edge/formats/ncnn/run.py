"""The two files of ncnn, run by ncnn. Needs no torch."""

from __future__ import annotations

import threading
from pathlib import Path

import ncnn
import numpy as np

from mnist_edge.bundle.storage import scratch_folder
from mnist_edge.contract import (
    INPUT_NAME,
    OUTPUT_NAME,
    Images,
    Logits,
    check_images,
    check_logits,
    check_outputs,
)
from mnist_edge.errors import BadInput
from mnist_edge.formats.format import USUAL, Loading, claim_cpu
from mnist_edge.formats.ncnn.read import read_ncnn
from mnist_edge.formats.quiet import printed

_FIX = "give the ncnn files as mnist-edge export wrote them"
# ncnn computes in 16 bits where the processor can, whatever the file holds. An artifact gives the
# same answers everywhere only without.
_SIXTEEN_BITS = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)


class NcnnBackend:
    """A net of ncnn on the CPU, which takes one picture at a time.

    Args:
        param: the file that lists its layers.
        weights: the file that holds their weights.
        how: see `Loading`.

    Raises:
        BadInput: not files that mnist-edge wrote, or the runtime refuses them.
    """

    name = "ncnn"

    def __init__(self, param: bytes, weights: bytes, how: Loading = USUAL) -> None:
        self.device = claim_cpu(how, "ncnn")
        outputs = read_ncnn(param, weights)
        self._classes = check_outputs(outputs, how.classes, source="the ncnn model")
        self.version = str(ncnn.__version__)
        net = ncnn.Net()
        net.opt.num_threads = how.threads
        net.opt.use_vulkan_compute = False
        for option in _SIXTEEN_BITS:
            if hasattr(net.opt, option):
                setattr(net.opt, option, False)
        _load(net, param, weights)
        self._net: ncnn.Net | None = net
        self._lock = threading.Lock()

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._net is None:
            raise ValueError("the backend is closed")
        logits = np.empty((len(images), self._classes), np.float32)
        with self._lock:
            for image, row in zip(images, logits, strict=True):
                extractor = self._net.create_extractor()
                # A copy, since layers that work in place crash on memory that is not ncnn's own.
                # Every failure is a number here, and raises nothing.
                failed = extractor.input(INPUT_NAME, ncnn.Mat(image).clone())
                code, result = extractor.extract(OUTPUT_NAME)
                if failed or code:
                    raise BadInput(f"ncnn cannot run the model: code {failed or code}", fix=_FIX)
                row[:] = result
        return check_logits(logits, len(images), self._classes, source="the ncnn model")

    def close(self) -> None:
        """See `Backend.close`."""
        self._net = None


def _load(net: ncnn.Net, param: bytes, weights: bytes) -> None:
    # From memory, ncnn would keep pointing at bytes that Python may move.
    with scratch_folder() as folder, printed():
        for name, data in (("net.param", param), ("net.bin", weights)):
            Path(folder, name).write_bytes(data)
        codes = (
            net.load_param(str(Path(folder, "net.param"))),
            net.load_model(str(Path(folder, "net.bin"))),
        )
    if any(codes):
        raise BadInput(f"ncnn cannot load the model: code {codes[0] or codes[1]}", fix=_FIX)
