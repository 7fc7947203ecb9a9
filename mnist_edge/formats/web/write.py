"""A net as a web page, written from its typed steps: no compiler takes part."""

from __future__ import annotations

from contextlib import closing

from mnist_edge.contract import to_images
from mnist_edge.errors import UsageError
from mnist_edge.formats.format import Header, Loading
from mnist_edge.formats.graph.quantized import read_quantized
from mnist_edge.formats.graph.read import read_graph
from mnist_edge.formats.onnx.run import OrtBackend
from mnist_edge.formats.source import Source
from mnist_edge.formats.web.page import Page, part, put_together
from mnist_edge.formats.web.program import write_net, write_quantized_net
from mnist_edge.recipes.terms import Precision


def write_web(source: Source, precision: Precision) -> bytes:
    """The page of a net.

    Raises:
        BadInput: the graph holds something that cannot be written.
        UsageError: its pictures are not those of digits.
    """
    metadata = source.metadata("web", precision)
    preprocessing = Header(metadata=metadata).preprocessing
    if preprocessing != "digit":
        raise UsageError(
            f"a page brings pictures to a net as digits, and this one wants them {preprocessing}",
            fix="choose --format onnx, which leaves pictures to your own program",
        )
    graph = source.onnx(precision)
    if precision == "int8":
        net = write_quantized_net(read_quantized(graph))
    else:
        net = write_net(read_graph(graph))
    answers = b""
    if source.golden is not None:
        # What ONNX Runtime makes of the very graph: of int8, the same bits.
        with closing(OrtBackend(graph, Loading(classes=0))) as backend:
            answers = backend.run(to_images(source.golden[0])).astype("<f4").tobytes()
    return put_together(
        Page(
            metadata=metadata,
            engine=part(f"engine/{precision}.wasm"),
            reader=part("engine/reader.wasm"),
            net=net,
            answers=answers,
        )
    )
