"""A graph of others in the form that we work on: one opset, float32, sorted, nothing hidden."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter

import onnx
import onnx.inliner
import onnx.version_converter
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from mnist_edge.errors import BadInput
from mnist_edge.foreign.constants import fold_constants, lift_constants, replace_nodes
from mnist_edge.foreign.dialects import FIX, speak_plainly
from mnist_edge.formats.graph.bounds import MOST_OPERATORS, count_numbers
from mnist_edge.formats.graph.file import read_outline
from mnist_edge.formats.original.exact import retype
from mnist_edge.recipes.terms import DEFAULT_OPSET

_OLDEST = 7
_IR_VERSION = 8  # the one of `DEFAULT_OPSET`
_OF_DAMAGE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_ALIASES = ("", "ai.onnx")
_QUANTIZED = (
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger"),
    *("MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits"),
)


@contextmanager
def damage_told() -> Iterator[None]:
    """Say it of what libraries make of damaged bytes: no texts, values of other types."""
    try:
        yield
    except _OF_DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"it is damaged, or no ONNX file: {reason:.200}", fix=FIX) from None


def parse(data: bytes) -> onnx.ModelProto:
    """The model in a file. Raises BadInput where it is none."""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise BadInput(f"it is damaged, or no ONNX file: {error}", fix=FIX) from None
    if not model.graph.node or not model.graph.output:
        raise BadInput("it is no ONNX file, or holds no graph", fix=FIX)
    return model


def opened(data: bytes) -> onnx.ModelProto:
    """The graph in a file without functions, each operator after its inputs, constants as tensors.

    Raises:
        BadInput: it is no ONNX file, or its functions or operators go in circles.
    """
    model = inlined(parse(data))
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    # What an exporter inferred for one picture does not hold for several.
    del graph.input[:], graph.value_info[:], model.metadata_props[:]
    graph.input.extend(inputs)
    lift_constants(graph)
    replace_nodes(graph, list(nodes_in_order(graph)))
    return model


def part_for(model: onnx.ModelProto, result: str) -> onnx.ModelProto:
    """The part of a graph that one result needs, and of its inputs those that this reads."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    graph = part.graph
    del graph.output[:]
    graph.output.append(helper.make_empty_tensor_value_info(result))
    prune(graph)
    read = {name for node in graph.node for name in node.input}
    inputs = [value for value in graph.input if value.name in read]
    del graph.input[:]
    graph.input.extend(inputs)
    return part


def settled(model: onnx.ModelProto, count: int = 1) -> onnx.ModelProto:
    """The graph in our opset and in float32, with what follows from constants computed.

    Args:
        model: whose input has a size in each direction; it may be changed.
        count: how many pictures it takes.

    Raises:
        BadInput: it uses what is no operator of ONNX, is older than opset 7, or takes more to run
            than a picture may.
    """
    _refuse_quantized(model.graph)
    model = _raised(model)
    del model.graph.value_info[:]
    lift_constants(model.graph)
    retype(model.graph, TensorProto.FLOAT)
    fold_constants(model, "Cast")
    check(model, count)
    fold_constants(model)
    return model


def check(model: onnx.ModelProto, count: int = 1) -> None:
    """Refuse a graph that takes more to run than a picture may, or cannot be told. BadInput."""
    try:
        count_numbers(read_outline(model.SerializeToString()), count)
    except ValueError as error:
        raise BadInput(f"it cannot be run: {error}", fix=FIX) from None


def nodes_in_order(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The operators, each after those whose results it reads. Raises BadInput for a circle."""
    nodes = list(graph.node)
    givers = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    before = {
        number: {givers[name] for name in node.input if name in givers}
        for number, node in enumerate(nodes)
    }
    try:
        for number in TopologicalSorter(before).static_order():
            yield nodes[number]
    except CycleError:
        raise BadInput("its operators read each other in a circle", fix=FIX) from None


def prune(graph: onnx.GraphProto) -> None:
    """Leave out operators and constants that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(list(nodes_in_order(graph))):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            kept.append(node)
    replace_nodes(graph, kept[::-1])
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in plain operators, with those of functions in place of their calls."""
    _check_size(model)
    if model.functions:
        try:
            model = onnx.inliner.inline_local_functions(model)
        except Exception as error:  # of the C++ library, without a common parent
            raise BadInput(f"its functions cannot be read: {error!s:.200}", fix=FIX) from None
    else:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        model = copied
    for node in model.graph.node:
        if node.domain == "ai.onnx":
            node.domain = ""
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise BadInput(
                f"its {node.op_type} holds graphs of its own, of which none is read",
                fix="fold them with onnxsim, and import what that writes",
            )
    speak_plainly(model)
    return model


def _check_size(model: onnx.ModelProto) -> None:
    """Functions that call each other twice would make of forty lines a million million."""
    sizes: dict[tuple[str, str], int] = {}
    bodies = {(f.domain, f.name): f for f in model.functions}
    calls = {
        key: {(n.domain, n.op_type) for n in f.node} & bodies.keys() for key, f in bodies.items()
    }
    try:
        for key in TopologicalSorter(calls).static_order():
            sizes[key] = sum(sizes.get((n.domain, n.op_type), 1) for n in bodies[key].node)
    except CycleError:
        raise BadInput("its functions call each other in a circle", fix=FIX) from None
    total = sum(sizes.get((n.domain, n.op_type), 1) for n in model.graph.node)
    if total > MOST_OPERATORS:
        raise BadInput(f"it has more than {MOST_OPERATORS:,} operators", fix=FIX)


def _refuse_quantized(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.op_type in _QUANTIZED or node.op_type.startswith(("QLinear", "QGemm")):
            raise BadInput(
                f"it is quantized already, as its {node.op_type} shows",
                fix="give the float32 net that it was made from; export quantizes it",
            )


def _raised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in our opset."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    version = max((opsets.get(name, 0) for name in _ALIASES), default=0)
    used = {node.domain for node in model.graph.node}
    other = sorted({n.op_type for n in model.graph.node if n.domain == "ai.onnx.ml"})
    if other:
        raise BadInput(f"it is no neural net, as its {other[0]} shows", fix="give a neural net")
    strange = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain})
    if strange and used - {"", "com.microsoft"}:
        raise BadInput(f"it uses {', '.join(strange)[:200]}, which is not known here", fix=FIX)
    if version < _OLDEST:
        raise BadInput(f"it is of opset {version}; the oldest that is read is {_OLDEST}", fix=FIX)
    if version < DEFAULT_OPSET:
        for entry in list(model.opset_import):
            if entry.domain not in ("", "com.microsoft"):
                model.opset_import.remove(entry)
        model.ir_version = max(model.ir_version, 4)  # before it, initializers are inputs
        try:
            model = onnx.version_converter.convert_version(model, DEFAULT_OPSET)
        except Exception as error:  # of the C++ library, without a common parent
            raise BadInput(
                f"it cannot be raised from opset {version} to {DEFAULT_OPSET}: {error!s:.200}",
                fix=FIX,
            ) from None
    if version > DEFAULT_OPSET:
        model = _without_later(model)
    for entry in list(model.opset_import):
        if entry.domain in _ALIASES or entry.domain not in used:
            model.opset_import.remove(entry)
    model.opset_import.append(helper.make_opsetid("", DEFAULT_OPSET))
    model.ir_version = _IR_VERSION
    return model


def _without_later(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with what operators of later opsets stand for, where they came after ours."""
    later = {("", n.op_type) for n in model.graph.node if not n.domain and _is_later(n.op_type)}
    if not later:
        return model
    try:
        return onnx.inliner.inline_selected_functions(
            model, sorted(later), inline_schema_functions=True
        )
    except Exception as error:  # of the C++ library, without a common parent
        raise BadInput(f"its operators cannot be read: {error!s:.200}", fix=FIX) from None


def _is_later(kind: str) -> bool:
    try:
        onnx.defs.get_schema(kind, DEFAULT_OPSET)
    except onnx.defs.SchemaError:
        return True
    return False
