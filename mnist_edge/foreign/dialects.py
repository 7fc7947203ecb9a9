"""Operators that are not ONNX's own, or are as a training has them, as plain ones.

ONNX Runtime fuses operators, and scikit-learn's converter writes those of `ai.onnx.ml`. A graph
that was written amid a training drops numbers, and normalises by the pictures at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper

from mnist_edge.errors import BadInput
from mnist_edge.foreign.constants import Nodes, replace_nodes
from mnist_edge.recipes.terms import DEFAULT_OPSET

FIX = "export the net again, with operators of ONNX alone"
_ACTIVATIONS = {
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh"), ()),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}
_SLIDING = ("kernel_shape", "strides", "dilations")
_ENDS = {"LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax", "NONE": "Identity"}

Options: TypeAlias = Mapping[str, Any]


def speak_plainly(model: onnx.ModelProto) -> None:
    """Put plain operators in the place of others. Raises BadInput where one has other options."""
    graph = model.graph
    plain = Nodes(graph)
    if {node.op_type for node in graph.node if not node.domain} <= {"Identity"}:
        for entry in model.opset_import:  # of which the file has no operator
            entry.version = entry.version if entry.domain else DEFAULT_OPSET
    for node in graph.node:
        write = _WRITERS.get((node.domain, node.op_type))
        if write is None:
            plain.nodes.append(node)
        else:
            options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            write(plain, node, options)
    replace_nodes(graph, plain.nodes)


def _widen(plain: Nodes, node: onnx.NodeProto, options: Options) -> None:
    """What slides along rows, as over pictures one pixel wide."""
    if len(options.get("kernel_shape", ())) != 1 or len(node.output) > 1:
        plain.nodes.append(node)
        return
    result = node.output[0]
    columns, back = (
        plain.constant(f"{result}_{name}", np.array(sizes, np.int64))
        for name, sizes in (("to_column", [0, 0, -1, 1]), ("to_row", [0, 0, -1]))
    )
    inputs = [
        plain.add("Reshape", [name, columns], f"{result}_wide{place}")
        for place, name in enumerate(node.input[:2])
    ]
    wide = {name: [*options[name], 1] for name in _SLIDING if name in options}
    if "pads" in options:
        first, last = options["pads"]
        wide["pads"] = [first, 0, last, 0]
    plain.add(node.op_type, [*inputs, *node.input[2:]], f"{result}_column", **{**options, **wide})
    plain.add("Reshape", [f"{result}_column", back], result)


def _part(kind: str) -> _Writer:
    """A convolution or a product, the sum of it and another result, and an activation."""

    def write(plain: Nodes, node: onnx.NodeProto, options: Options) -> None:
        result = node.output[0]
        activation = options.get("activation", b"").decode(errors="replace")
        names = _ACTIVATIONS.get(activation, ())
        numbers = options.get("activation_params", ())
        if activation and (activation not in _ACTIVATIONS or len(numbers) > len(names)):
            raise BadInput(f"its {node.op_type} does {activation!r:.40} besides", fix=FIX)
        own = {name: value for name, value in options.items() if not name.startswith("activation")}
        also = node.input[3:4] if kind == "Conv" else []
        last = f"{result}_unfused" if activation or also else result
        plain.add(kind, list(node.input[:3]), last, **own)
        if also:
            last = plain.add("Add", [last, *also], f"{result}_sum" if activation else result)
        if activation:
            plain.add(activation, [last], result, **dict(zip(names, numbers, strict=False)))

    return write


def _multiply(plain: Nodes, node: onnx.NodeProto, options: Options) -> None:
    """A product of matrices, of which a constant one may be turned first."""
    if options.get("transA") or options.get("transBatchA") or options.get("transBatchB"):
        raise BadInput("its FusedMatMul turns what it reads", fix=FIX)
    left, right = node.input
    result, alpha = node.output[0], options.get("alpha", 1.0)
    if options.get("transB"):
        right = plain.add("Transpose", [right], f"{result}_turned", perm=[1, 0])
    product = plain.add("MatMul", [left, right], result if alpha == 1 else f"{result}_product")
    if alpha != 1:
        plain.add("Mul", [product, plain.constant(f"{result}_alpha", np.float32(alpha))], result)


def _classify(plain: Nodes, node: onnx.NodeProto, options: Options) -> None:
    """Scores as a product with a matrix; the class is the largest one's."""
    scores = node.output[1]
    end = _ENDS.get(options.get("post_transform", b"NONE").decode(errors="replace"))
    intercepts = np.asarray(options.get("intercepts", ()), np.float32)
    weight = np.asarray(options["coefficients"], np.float32)
    if end is None or not len(intercepts):
        raise BadInput("its LinearClassifier has an end that is not known here", fix=FIX)
    names = [
        plain.constant(f"{scores}_weight", weight.reshape(len(intercepts), -1)),
        plain.constant(f"{scores}_bias", intercepts),
    ]
    product = plain.add("Gemm", [node.input[0], *names], f"{scores}_product", transB=1)
    plain.add(end, [product], scores, **({"axis": 1} if end == "Softmax" else {}))
    plain.add("ArgMax", [scores], node.output[0], axis=1, keepdims=0)


def _normalize(plain: Nodes, node: onnx.NodeProto, options: Options) -> None:
    """By what was learned; not by the pictures at hand."""
    kept = {name: value for name, value in options.items() if name in ("epsilon", "spatial")}
    plain.add("BatchNormalization", list(node.input), node.output[0], **kept)


def _pass_on(plain: Nodes, node: onnx.NodeProto, _: Options) -> None:
    plain.add("Identity", [node.input[0]], node.output[0])


def _scale(plain: Nodes, node: onnx.NodeProto, options: Options) -> None:
    """Each number less an offset, times a factor."""
    result = node.output[0]
    offset = plain.constant(f"{result}_offset", np.asarray(options["offset"], np.float32))
    factor = plain.constant(f"{result}_factor", np.asarray(options["scale"], np.float32))
    plain.add("Sub", [node.input[0], offset], f"{result}_centred")
    plain.add("Mul", [f"{result}_centred", factor], result)


_Writer: TypeAlias = Callable[[Nodes, onnx.NodeProto, Options], None]
_WRITERS: dict[tuple[str, str], _Writer] = {
    ("", "AveragePool"): _widen,
    ("", "BatchNormalization"): _normalize,
    ("", "Conv"): _widen,
    ("", "Dropout"): _pass_on,
    ("", "MaxPool"): _widen,
    ("ai.onnx.ml", "LinearClassifier"): _classify,
    ("ai.onnx.ml", "Scaler"): _scale,
    ("com.microsoft", "FusedConv"): _part("Conv"),
    ("com.microsoft", "FusedGemm"): _part("Gemm"),
    ("com.microsoft", "FusedMatMul"): _multiply,
}
