"""ONNX files, and ONNX Runtime's own format, run by ONNX Runtime. Needs no torch."""

from __future__ import annotations

import re
import threading
import time
from functools import cache, partial

import numpy as np
import onnxruntime as ort

from mnist_edge.contract import (
    IMAGE_SHAPE,
    INPUT_NAME,
    OUTPUT_NAME,
    Images,
    Logits,
    check_images,
    check_logits,
)
from mnist_edge.errors import BadInput, DeviceUnavailable
from mnist_edge.formats.format import USUAL, Loading, Optimization
from mnist_edge.formats.graph.bounds import count_numbers
from mnist_edge.formats.graph.file import read_outline as read_onnx
from mnist_edge.formats.graph.outline import Outline
from mnist_edge.formats.onnx.header import read_header
from mnist_edge.recipes.classes import MOST_CLASSES
from mnist_edge.recipes.terms import Device

_PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

_LEVELS: dict[Optimization, ort.GraphOptimizationLevel] = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}

# `/onnxruntime_src/.../model.cc:256 onnxruntime::Model::Model(...) Unsupported model IR version`
_SOURCE_PLACE: re.Pattern[str] = re.compile(r"^\S+\.(cc|h):\d+ .*?\) (?=[A-Z])")

MOST_IN_A_BATCH = 1 << 26
"""Numbers that one batch may take, 256 MiB of float32; a larger one is run in parts."""

_FATAL = 4  # log level: what is worth saying is raised, and lines on stderr are ours
_FIX = "give an ONNX file as mnist-edge export wrote it"


class OrtBackend:
    """An ONNX or .ort file on one device.

    Args:
        data: the file. It is loaded from memory, so that no other file can be drawn in.
        how: its threads compute one operator; operators run one after the other.

    Attributes:
        classes: that it tells apart.
        numbers: that a batch of so many pictures may take.

    Raises:
        BadInput: not a model, external data, or another signature than ours.
    """

    name = "onnxruntime"

    def __init__(self, data: bytes, how: Loading = USUAL) -> None:
        self.version = str(ort.__version__)
        self.device = how.device
        outline = _read_outline(data)
        options = ort.SessionOptions()
        options.intra_op_num_threads = how.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = _LEVELS[how.optimization]
        options.log_severity_level = _FATAL
        # Idle threads that wait busily would take a core from whatever else runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = _open_session(data, options, how.device)
        self.classes = _check_signature(session, how.classes)
        self._session: ort.InferenceSession | None = session
        self._one_picture: _OnePicture | None = _OnePicture(session, self.classes)
        self.numbers = cache(partial(_numbers, outline))

    def run(self, images: Images) -> Logits:
        """See `Backend.run`."""
        images = check_images(images)
        if self._session is None or self._one_picture is None:
            raise ValueError("the backend is closed")
        if not len(images):
            return np.empty((0, self.classes), np.float32)
        if len(images) > 1 and self.numbers(len(images)) > MOST_IN_A_BATCH:
            half = len(images) // 2
            return np.concatenate([self.run(images[:half]), self.run(images[half:])])
        try:
            if len(images) == 1 and self.device == "cpu":
                logits = self._one_picture.run(images)
            else:
                (logits,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: images})
        except Exception as error:
            raise BadInput(f"the ONNX model cannot run: {reason(error)}", fix=_FIX) from None
        return check_logits(logits, len(images), self.classes, source="the ONNX model")

    def time_resident(self, images: Images, runs: int) -> tuple[float, ...]:
        """See `DeviceResident.time_resident`; by the host's clock, until the device is done."""
        assert self._session is not None
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(
            INPUT_NAME, ort.OrtValue.ortvalue_from_numpy(images, self.device, 0)
        )
        binding.bind_output(OUTPUT_NAME, self.device)
        durations_s = []
        for _ in range(1 + runs):
            start = time.perf_counter()
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            durations_s.append(time.perf_counter() - start)
        return tuple(durations_s[1:])

    def metadata(self) -> dict[str, str]:
        """What the file says of itself; both of ONNX Runtime's formats can tell.

        Raises:
            BadInput: it is no text.
        """
        assert self._session is not None
        try:
            return dict(self._session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise BadInput(f"its metadata are damaged: {error}", fix=_FIX) from None

    def close(self) -> None:
        """See `Backend.close`."""
        self._session = self._one_picture = None


def available_providers() -> tuple[str, ...]:
    """The execution providers that the installed onnxruntime is built with; no session is made."""
    return tuple(ort.get_available_providers())


class _OnePicture:
    """A session that reads one picture from a buffer of its own, and writes its logits to another.

    Bound once, they save what ONNX Runtime does around each call: a tenth of the time of a small
    net, as benchmarks/ort_settings.py shows.
    """

    def __init__(self, session: ort.InferenceSession, classes: int) -> None:
        self._session = session
        self._images = np.zeros((1, *IMAGE_SHAPE), np.float32)
        self._logits = np.zeros((1, classes), np.float32)
        self._binding = session.io_binding()
        for bind, name, buffer in (
            (self._binding.bind_input, INPUT_NAME, self._images),
            (self._binding.bind_output, OUTPUT_NAME, self._logits),
        ):
            bind(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        self._lock = threading.Lock()

    def run(self, image: Images) -> Logits:
        """(1, 1, 28, 28) to (1, classes); threads wait for each other."""
        with self._lock:
            self._images[...] = image
            self._session.run_with_iobinding(self._binding)
            return self._logits.copy()


def _open_session(data: bytes, options: ort.SessionOptions, device: Device) -> ort.InferenceSession:
    provider = _PROVIDERS.get(device)
    if provider not in ort.get_available_providers():
        # Asked all the same, ORT would print to stdout and run on the CPU.
        raise _no_device(device, "the installed onnxruntime is built without it")
    # TF32 keeps 10 bits of the mantissa: errors of 1e-3 where the gate is 1e-4.
    settings = {"use_tf32": "0"} if device == "cuda" else {}
    try:
        # Where a GPU cannot start, ORT's wrapper would fall back, and print a banner to stdout.
        session = ort.InferenceSession(
            data, options, providers=[(provider, settings)], enable_fallback=0
        )
    except Exception as error:  # ORT's error classes have no common parent
        if device != "cpu":  # which may be the device's fault
            _open_session(data, options, "cpu")
            raise _no_device(device, reason(error)) from None
        raise BadInput(f"ONNX Runtime cannot load the model: {reason(error)}", fix=_FIX) from None
    session.disable_fallback()
    # ORT falls back to the CPU without a word when CUDA cannot start, so ask what it chose.
    if session.get_providers()[0] != provider:
        raise _no_device(device, "onnxruntime fell back to the CPU")
    return session


def _no_device(device: Device, reason: str) -> DeviceUnavailable:
    import shutil

    fix = "choose --device cpu"
    if device == "cuda" and shutil.which("nvidia-smi"):
        fix = "run pip uninstall onnxruntime && pip install onnxruntime-gpu, or choose --device cpu"
    return DeviceUnavailable(f"onnxruntime cannot use {device}: {reason}", fix=fix)


def _read_outline(data: bytes) -> Outline:
    """The outline of a file, once it is known that one picture will not take too much of it."""
    if not data:
        raise BadInput("not an ONNX file: it is empty", fix=_FIX)
    own = data[4:8] == b"ORTM"  # ONNX Runtime's own format
    try:
        if not own:
            read_header(data)
    except ValueError as error:
        raise BadInput(f"not an ONNX file: {error}", fix=_FIX) from None
    try:
        if own:
            from mnist_edge.formats.ort.outline import read_outline as read_ort

            outline = read_ort(data)
        else:
            outline = read_onnx(data)
        count_numbers(outline, 1)
    except ValueError as error:
        raise BadInput(f"the ONNX model is not one to run: {error}", fix=_FIX) from None
    return outline


def _numbers(outline: Outline, batch: int) -> int:
    try:
        return count_numbers(outline, batch)
    except ValueError as error:
        raise BadInput(f"the ONNX model cannot run {batch} at once: {error}", fix=_FIX) from None


def _check_signature(session: ort.InferenceSession, classes: int) -> int:
    """How many classes a net tells apart, where that is as many as it should."""
    try:
        found = [
            " and ".join(_describe(value) for value in values)
            for values in (session.get_inputs(), session.get_outputs())
        ]
    except UnicodeDecodeError:
        raise BadInput("the ONNX model has names that are not UTF-8", fix=_FIX) from None
    last = [value.shape[-1] for value in session.get_outputs() if value.shape]
    if not classes and last and isinstance(last[0], int) and 2 <= last[0] <= MOST_CLASSES:
        classes = last[0]
    expected = [
        f"{INPUT_NAME} tensor(float) {['N', *IMAGE_SHAPE]}",
        f"{OUTPUT_NAME} tensor(float) {['N', classes]}",
    ]
    if found != expected:
        raise BadInput(
            f"the ONNX model maps {found[0]:.200} to {found[1]:.200}, "
            f"expected {expected[0]} to {expected[1]}",
            fix="use a model that mnist-edge exported",
        )
    return classes


def _describe(value: ort.NodeArg) -> str:
    batch, *rest = value.shape or [0]
    return f"{value.name} {value.type} {[batch if isinstance(batch, int) else 'N', *rest]}"


def reason(error: Exception) -> str:
    """What ORT says, without its prefixes: error codes, and the place in its C++ sources."""
    line: str = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return _SOURCE_PLACE.sub("", line.split(" : ", 3)[-1])[:300]
