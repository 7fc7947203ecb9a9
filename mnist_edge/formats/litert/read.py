"""Look into the bytes of a `.tflite` file before any runtime does.

What a runtime would do with a file that breaks its own rules is not for us to find out: only such
graphs pass as our exporter writes, with every shape derived again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mnist_edge.bundle import codec
from mnist_edge.errors import BadInput
from mnist_edge.formats.flatbuffer import Table, root_table
from mnist_edge.formats.litert.bounds import check_graph
from mnist_edge.formats.litert.schema import (
    IDENTIFIER,
    METADATA,
    OPTIONS,
    VERSION,
    Graph,
    Operation,
    Operator,
    Tensor,
    Type,
)

_FIX = "give a LiteRT file as mnist-edge export wrote it"
_MOST_OPERATIONS, _MOST_TENSORS = 1000, 5000
_MOST_INPUTS, _MOST_AXES, _MOST_SCALES = 64, 4, 1 << 16


@dataclass(frozen=True, kw_only=True)
class LiteRtFile:
    """A file that may be run: its graph, and what it says of itself."""

    graph: Graph
    metadata: dict[str, str]


def read_litert(data: bytes) -> LiteRtFile:
    """Take a file apart.

    Raises:
        BadInput: it is damaged, or holds anything that our exporter does not write.
    """
    try:
        model = root_table(data, IDENTIFIER).only(0, 1, 2, 3, 4, 6, 7)
        buffers = [table.only(0).content(0) for table in model.tables(4, _MOST_TENSORS)]
        graph = _graph(model, buffers)
        check_graph(graph)
        return LiteRtFile(graph=graph, metadata=_metadata(model, buffers))
    except (ValueError, IndexError) as error:
        raise BadInput(f"not a LiteRT file of mnist-edge: {error}", fix=_FIX) from None


def _metadata(model: Table, buffers: list[bytes]) -> dict[str, str]:
    for entry in model.tables(6, _MOST_INPUTS):
        if entry.only(0, 1).text(0) == METADATA:
            return codec.loads(dict[str, str], str(buffers[entry.number(1, "I")], "utf-8"))
    raise ValueError("it does not say what it is")


def _graph(model: Table, buffers: list[bytes]) -> Graph:
    subgraphs = model.tables(2, 1)
    if model.number(0, "I") != VERSION or not subgraphs:
        raise ValueError(f"it has no graph of the schema {VERSION}")
    graph = subgraphs[0].only(0, 1, 2, 3, 4)
    operators = [_operator(code) for code in model.tables(1, _MOST_INPUTS)]
    (first,), (last,) = (graph.numbers(field, "<i4", 1).tolist() for field in (1, 2))
    return Graph(
        tensors=tuple(_tensor(t, buffers) for t in graph.tables(0, _MOST_TENSORS)),
        operations=tuple(_operation(o, operators) for o in graph.tables(3, _MOST_OPERATIONS)),
        input=first,
        output=last,
    )


def _operator(code: Table) -> Operator:
    # Older files have the first field alone, of one byte.
    code.only(0, 2, 3)
    return Operator(max(code.number(0, "b"), code.number(3, "i")))


def _operation(table: Table, operators: list[Operator]) -> Operation:
    operator = operators[table.only(0, 1, 2, 3, 4).number(0, "I")]
    kind, slots = OPTIONS.get(operator, (0, {}))
    if table.number(3, "B") != kind:
        raise ValueError(f"{operator.name} has the options of another operator")
    options, given = {}, table.table(4)
    if kind and given is None:
        raise ValueError(f"{operator.name} has no options")
    if given is not None:
        given.only(*range(len(slots)))
        options = {
            name: given.number(place, "b" if slot.bits == 8 else "i", slot.default)
            for place, (name, slot) in enumerate(slots.items())
        }
    (output,) = table.numbers(2, "<i4", 1).tolist()
    return Operation(
        operator=operator,
        inputs=tuple(table.numbers(1, "<i4", _MOST_INPUTS).tolist()),
        output=output,
        options=options,
    )


def _tensor(table: Table, buffers: list[bytes]) -> Tensor:
    table.only(0, 1, 2, 3, 4, 7, 8)
    shape = tuple(table.numbers(0, "<i4", _MOST_AXES).tolist())
    dynamic = tuple(table.numbers(7, "<i4", _MOST_AXES).tolist())
    if dynamic and (dynamic[1:] != shape[1:] or shape[0] != 1):
        raise ValueError("a tensor has two shapes")
    tensor = Tensor(
        name=table.text(3),
        shape=dynamic or shape,
        type=Type(table.number(1, "b")),
        data=buffers[table.number(2, "I")],
    )
    grid = table.table(4)
    if grid is None:
        return tensor
    scale = grid.only(2, 3, 6).numbers(2, "<f4", _MOST_SCALES)
    zeros = grid.numbers(3, "<i8", _MOST_SCALES)
    if len(zeros) != len(scale) or not len(zeros) or len(set(zeros.tolist())) > 1:
        raise ValueError("a tensor is quantized in several ways")
    return replace(
        tensor,
        scale=scale.astype(np.float32),
        zero=int(zeros[0]),
        axis=grid.number(6, "i"),
    )
