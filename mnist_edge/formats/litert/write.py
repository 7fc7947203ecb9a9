"""A net as a `.tflite` file, written from its typed steps without TensorFlow or a converter.

Channels come last there, which for pictures of one channel is the same memory. Bytes are signed:
those of the quantized ONNX graph, less 128.
"""

from __future__ import annotations

from collections.abc import Mapping

from mnist_edge.contract import INPUT_NAME, OUTPUT_NAME, SIDE
from mnist_edge.formats.graph.layers import PICTURE, Scale
from mnist_edge.formats.graph.quantized import QuantizedNet, read_quantized
from mnist_edge.formats.graph.read import read_graph
from mnist_edge.formats.litert.draft import ByteDraft, Draft, HalfDraft, floats
from mnist_edge.formats.litert.model import write_model
from mnist_edge.formats.litert.schema import FACTOR, OFFSET, Graph, Operator
from mnist_edge.formats.litert.steps import Steps
from mnist_edge.recipes.terms import Precision


def write_litert(graph: bytes, precision: Precision, metadata: Mapping[str, str]) -> bytes:
    """The `.tflite` file of a classifier.

    Args:
        graph: an ONNX file of float32; for int8 and int8-io a statically quantized one.
        precision: float32, float16, int8 (float32 goes in and comes out) or int8-io (bytes do).
        metadata: what the file shall say of itself; how pictures lie in it is added.

    Raises:
        BadInput: the graph holds something that cannot be written.
    """
    if precision in ("int8", "int8-io"):
        quantized = read_quantized(graph)
        if precision == "int8":
            return write_model(
                _bytes_within(quantized), dict(metadata) | _layout("float32", metadata)
            )
        return write_model(
            _bytes_throughout(quantized),
            dict(metadata) | _layout("int8", metadata) | _scaling(quantized, metadata),
        )
    draft = HalfDraft() if precision == "float16" else Draft()
    steps = Steps(read_graph(graph), draft)
    first = draft.add(floats(INPUT_NAME, steps.layout(PICTURE)))
    return write_model(
        draft.graph(first, steps.write({PICTURE: first})),
        dict(metadata) | _layout("float32", metadata),
    )


def _bytes_within(quantized: QuantizedNet) -> Graph:
    """Floats go in and come out."""
    draft = ByteDraft(quantized)
    steps = Steps(quantized.net, draft)
    first = draft.add(floats(INPUT_NAME, steps.layout(PICTURE)))
    scale = _picture_scale(quantized)
    scaled = steps.scale(scale, first, lambda name: floats(name, steps.layout(PICTURE)))
    pixels = draft.apply(Operator.QUANTIZE, (scaled,), draft.result("pixels", steps.layout(0), 0))
    row = steps.write({0: pixels})
    classes = quantized.net.steps[-1].shape.channels
    return draft.graph(
        first, draft.apply(Operator.DEQUANTIZE, (row,), floats(OUTPUT_NAME, (classes,)))
    )


def _bytes_throughout(quantized: QuantizedNet) -> Graph:
    draft = ByteDraft(quantized)
    steps = Steps(quantized.net, draft)
    first = draft.add(draft.result(INPUT_NAME, steps.layout(0), 0))
    return draft.graph(first, steps.write({0: first}))


def _picture_scale(quantized: QuantizedNet) -> Scale:
    """The first step of every quantized net."""
    step = quantized.net.steps[0]
    assert isinstance(step, Scale)
    return step


def _layout(numbers: str, metadata: Mapping[str, str]) -> dict[str, str]:
    return {"input": f"{INPUT_NAME}: {numbers} (N, {SIDE}, {SIDE}, 1), {_white(metadata)}, 0 to 1"}


def _white(metadata: Mapping[str, str]) -> str:
    """What is white, as every file says it of its own input."""
    _, _, said = metadata.get("input", "").partition("white ")
    return f"white {said.partition(',')[0] or 'digit on black'}"


def _scaling(quantized: QuantizedNet, metadata: Mapping[str, str]) -> dict[str, str]:
    """How a picture becomes bytes, and bytes logits."""
    picture, last = quantized.grids[0], quantized.grids[len(quantized.net.steps) - 1]
    scale = _picture_scale(quantized)
    factor, offset = float(scale.factor[0]), float(scale.offset[0])
    return {
        FACTOR: repr(factor),
        OFFSET: repr(offset),
        "input": f"{INPUT_NAME}: int8 (N, {SIDE}, {SIDE}, 1), {_white(metadata)}: "
        f"round((intensity * {factor!r} + {offset!r}) / {float(picture.scale)!r}) "
        f"- {128 - picture.zero}, at least -128 and at most 127",
        "output": f"{OUTPUT_NAME}: int8 (N, {quantized.net.steps[-1].shape.channels}), "
        f"a class score is (value - {last.zero - 128}) * {float(last.scale)!r}",
    }
