"""A graph of others in the form that we work on: one opset, float32, sorted, nothing hidden."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import onnx
import onnx.inliner
import onnx.version_converter
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from mnist_edge.errors import BadInput
from mnist_edge.foreign.constants import fold_constants, lift_constants, replace_nodes
from mnist_edge.formats.graph.bounds import MOST_OPERATORS, count_numbers
from mnist_edge.formats.onnx.outline import read_outline
from mnist_edge.formats.original.exact import retype
from mnist_edge.recipes.terms import DEFAULT_OPSET

_FIX = "export the net again, with operators of ONNX alone"
_OLDEST = 7
_IR_VERSION = 8  # the one of `DEFAULT_OPSET`
_ALIASES = ("", "ai.onnx")


def parse(data: bytes) -> onnx.ModelProto:
    """The model in a file. Raises BadInput where it is none."""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise BadInput(f"it is damaged, or no ONNX file: {error}", fix=_FIX) from None
    if not model.graph.node or not model.graph.output:
        raise BadInput("it is no ONNX file, or holds no graph", fix=_FIX)
    return model


def cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without functions, of our opset and in float32; each operator after its inputs.

    Raises:
        BadInput: it uses what is no operator of ONNX, is older than opset 7, or takes more to run
            than a picture may.
    """
    model = inlined(model)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:], model.metadata_props[:]
    graph.input.extend(inputs)
    lift_constants(graph)
    _sort(graph)
    model = _raised(model)
    # What an exporter inferred for one picture does not hold for several.
    del model.graph.value_info[:]
    lift_constants(model.graph)
    retype(model.graph, TensorProto.FLOAT)
    fold_constants(model, "Cast")
    check(model)
    fold_constants(model)
    return model


def check(model: onnx.ModelProto) -> None:
    """Refuse a graph that takes more to run than a picture may, or cannot be told. BadInput."""
    try:
        count_numbers(read_outline(model.SerializeToString()), 1)
    except ValueError as error:
        raise BadInput(f"it cannot be run: {error}", fix=_FIX) from None


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
        raise BadInput("its operators read each other in a circle", fix=_FIX) from None


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
    """The graph with the operators of functions in place of their calls."""
    _check_size(model)
    if model.functions:
        try:
            model = onnx.inliner.inline_local_functions(model)
        except Exception as error:  # of the C++ library, without a common parent
            raise BadInput(f"its functions cannot be read: {error!s:.200}", fix=_FIX) from None
    else:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        model = copied
    for node in model.graph.node:
        if node.domain == "ai.onnx":
            node.domain = ""
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
        raise BadInput("its functions call each other in a circle", fix=_FIX) from None
    total = sum(sizes.get((n.domain, n.op_type), 1) for n in model.graph.node)
    if total > MOST_OPERATORS:
        raise BadInput(f"it has more than {MOST_OPERATORS:,} operators", fix=_FIX)


def _sort(graph: onnx.GraphProto) -> None:
    replace_nodes(graph, list(nodes_in_order(graph)))


def _raised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in our opset."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    version = max((opsets.get(name, 0) for name in _ALIASES), default=0)
    used = {node.domain for node in model.graph.node}
    strange = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain})
    if strange and used - {"", "com.microsoft"}:
        raise BadInput(f"it uses {', '.join(strange)[:200]}, which ONNX does not have", fix=_FIX)
    if version < _OLDEST:
        raise BadInput(f"it is of opset {version}; the oldest that is read is {_OLDEST}", fix=_FIX)
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
                fix=_FIX,
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
        raise BadInput(f"its operators cannot be read: {error!s:.200}", fix=_FIX) from None


def _is_later(kind: str) -> bool:
    try:
        onnx.defs.get_schema(kind, DEFAULT_OPSET)
    except onnx.defs.SchemaError:
        return True
    return False
