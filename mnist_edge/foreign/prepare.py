"""A net of others made ready to be tried: pictures in its own layout in, scores of classes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.bundle.imported import Contract
from mnist_edge.errors import BadInput
from mnist_edge.foreign.batch import free_batch
from mnist_edge.foreign.constants import replace_nodes
from mnist_edge.foreign.ends import FIX, End, Entry, find_entries, find_scores
from mnist_edge.foreign.graph import check, damage_told, opened, part_for
from mnist_edge.foreign.net import ForeignNet
from mnist_edge.formats.onnx.run import reason
from mnist_edge.formats.original.feed import Pixels, feed

_BATCH = 250
LEAST_PROBABILITY = 1e-12
_ALONE = 1e-3
"""By how much of the largest score a picture's scores may change with those beside it: rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A net that takes any number of pictures.

    Attributes:
        net: as it was read.
        model: its graph, from (N, *entry.shape) to the scores (N, classes), in float32.
        entry: how it takes a picture.
        output: which of the results that may be scores, by its place among them.
        end: what the net itself makes of the scores.
        classes: how many there are.
        logarithm: whether the scores are the logarithm of probabilities, which the net gives.
    """

    net: ForeignNet
    model: onnx.ModelProto
    entry: Entry
    output: int
    end: End
    classes: int
    logarithm: bool = False

    @cached_property
    def _session(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = 4
        return ort.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    @property
    def kind(self) -> int:
        """The type of the numbers that it takes."""
        return int(self.model.graph.input[0].type.tensor_type.elem_type)

    def scores(self, pixels: Pixels) -> NDArray[np.float32]:
        """The scores (N, classes) of pictures as `feed` lays them out. Raises BadInput."""
        flat = pixels.reshape(len(pixels), *self.entry.shape)
        flat = as_type(flat, helper.tensor_dtype_to_np_dtype(self.kind))
        try:
            parts = [
                self._session.run(None, {self.entry.name: flat[start : start + _BATCH]})[0]
                for start in range(0, len(flat), _BATCH)
            ]
        except Exception as error:  # ORT's error classes have no common parent
            raise BadInput(f"it cannot be run: {reason(error)}", fix=FIX) from None
        return np.concatenate(parts)


def as_type(pixels: Pixels, dtype: np.dtype[np.generic]) -> NDArray[Any]:
    """Pixels as numbers of another type; whole ones are rounded."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        pixels = np.clip(np.round(pixels), limits.min, limits.max)
    return pixels.astype(dtype, copy=False)


def prepare(net: ForeignNet) -> tuple[Prepared, ...]:
    """Every way in which a net may take a picture and name its classes, that can be run.

    Raises:
        BadInput: there is none; the message says why the likeliest is not.
    """
    with damage_told():
        return _prepared(net)


def _prepared(net: ForeignNet) -> tuple[Prepared, ...]:
    model = opened(net.graph)
    refusals: list[BadInput] = []
    found = []
    for output, (name, end) in enumerate(find_scores(model.graph)):
        part = part_for(model, name)
        try:
            entries = find_entries(part.graph)
        except BadInput as error:
            refusals.append(error)
            continue
        for entry in entries:
            try:
                freed, classes = free_batch(part, entry, name)
                prepared = Prepared(
                    net=net, model=freed, entry=entry, output=output, end=end, classes=classes
                )
                found.append(_checked(prepared))
                break
            except BadInput as error:
                refusals.append(error)
    if not found:
        raise refusals[0]
    return tuple(found)


def _checked(prepared: Prepared) -> Prepared:
    """The net, if it takes each picture for itself; with a logarithm, where it needs one."""
    check(prepared.model)
    entry = prepared.entry
    # Ramps and noise, for scores that tell pictures apart.
    contract = Contract(
        side=entry.side, fit="" if entry.side == 28 else "resize", channels=entry.channels
    )
    pixels = feed(np.random.default_rng(0).random((3, 1, 28, 28), np.float32), contract)
    together = prepared.scores(pixels)
    alone = np.concatenate([prepared.scores(pixels[i : i + 1]) for i in range(len(pixels))])
    if not np.isfinite(together).all():
        raise BadInput("its answers are no numbers", fix="give a net that works")
    if together.shape != alone.shape or not _alike(together, alone):
        raise BadInput("its answer to a picture depends on those beside it", fix=FIX)
    if prepared.end == "logits" and _are_probabilities(together):
        model = _with_logarithm(prepared.model)
        return replace(prepared, model=model, end="softmax", logarithm=True)
    return prepared


def _alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    largest = max(1.0, float(np.abs(second).max()))
    return bool(np.abs(first - second).max() <= _ALONE * largest)


def _are_probabilities(scores: NDArray[np.float32]) -> bool:
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))


def _with_logarithm(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the logarithm of its probabilities as its output."""
    logarithm = onnx.ModelProto()
    logarithm.CopyFrom(model)
    graph = logarithm.graph
    given = graph.output[0].name
    least = numpy_helper.from_array(np.array(LEAST_PROBABILITY, np.float32), f"{given}_least")
    graph.initializer.append(least)
    nodes = [
        *graph.node,
        helper.make_node("Max", [given, least.name], [f"{given}_above"]),
        helper.make_node("Log", [f"{given}_above"], [f"{given}_logarithm"]),
    ]
    replace_nodes(graph, nodes)
    graph.output[0].name = f"{given}_logarithm"
    return logarithm


def count_parameters(model: onnx.ModelProto) -> int:
    """Floating-point constants of more than one number: weights."""
    sizes = [
        int(np.prod(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and tensor.dims
    ]
    return sum(sizes)
