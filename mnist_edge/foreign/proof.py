"""A net of others in double precision, as it came, and that what we made of it is the same."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from mnist_edge.bundle.imported import Contract
from mnist_edge.contract import Images
from mnist_edge.errors import BadInput
from mnist_edge.foreign.ends import find_scores
from mnist_edge.foreign.graph import inlined, parse
from mnist_edge.foreign.prepare import LEAST_PROBABILITY, Prepared, as_type
from mnist_edge.formats.original.exact import evaluator, exact_logits
from mnist_edge.formats.original.feed import feed

_CLOSE = 1e-6
"""How near both must be, of the largest logit: numbers that a file keeps are float32."""


def reference_logits(
    net: Prepared, contract: Contract, graph: bytes, images: Images
) -> NDArray[np.float64]:
    """The logits (N, classes) of a net in double precision, from the file as it came.

    Args:
        net: that was read.
        contract: under which it reads pictures.
        graph: what was made of it, in our contract.
        images: (N, 1, 28, 28) float32 in [0, 1].

    Raises:
        BadInput: the graph gives other logits.
    """
    ours = exact_logits(graph, images)
    try:
        theirs = _as_it_came(net, contract, images)
    except Exception:  # of an evaluator that lacks an operator, or an old form of one
        return ours
    if np.abs(theirs - ours).max() > _CLOSE * max(1.0, np.abs(theirs).max()):
        raise BadInput(
            "its answers change where it takes several pictures at once",
            fix="export it with an open batch size",
        )
    return theirs


def _as_it_came(net: Prepared, contract: Contract, images: Images) -> NDArray[np.float64]:
    model = inlined(parse(net.net.graph))
    scores, _ = find_scores(model.graph)[net.output]
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=scores))
    run = evaluator(model)
    entry = net.entry
    pixels = feed(images.astype(np.float64), contract).reshape(len(images), *entry.shape)
    kind = helper.tensor_dtype_to_np_dtype(net.kind)
    if kind.kind in "iu":
        pixels = as_type(pixels, kind)
    at_once = entry.batch or len(pixels)
    if not entry.batched:
        pixels, at_once = pixels.reshape(len(images), -1), 1
    results = []
    for start in range(0, len(pixels), at_once):
        part = pixels[start : start + at_once]
        short = at_once - len(part)
        full = np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part
        shape = full.shape if entry.batched else entry.shape
        result = run({entry.name: full.reshape(shape)}, scores)
        results.append(result.reshape(at_once, -1)[: len(part)])
    found = np.concatenate(results)
    return np.log(np.maximum(found, LEAST_PROBABILITY)) if net.logarithm else found
