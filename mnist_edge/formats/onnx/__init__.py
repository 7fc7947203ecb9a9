"""ONNX: the graph from which everything is made that is not torch's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, get_args

from mnist_edge.errors import BadInput
from mnist_edge.formats.format import Backend, FileFormat, Header, Loading, Optimization, Written
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Format, Precision, Runtime

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source


class Onnx(FileFormat):
    """One file, its weights inside, that ONNX Runtime runs."""

    name: ClassVar[Format] = "onnx"
    suffix = ".onnx"
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "float16", "int8-dynamic", "int8")
    tolerance = Tolerance(max_abs_error=1e-4)
    has_seal = True
    from_steps = False
    runtimes: ClassVar[Mapping[Runtime, str]] = {"onnxruntime": "", "openvino": "openvino"}
    levels = get_args(Optimization)

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        return Written(source.onnx(precision))

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        if how.runtime == "openvino":
            from mnist_edge.formats.onnx.openvino import OpenVinoBackend

            return OpenVinoBackend(written.data, how)
        from mnist_edge.formats.onnx.run import OrtBackend

        return OrtBackend(written.data, how)

    def is_one(self, data: bytes) -> bool:
        """A message whose first fields are those of a model: ONNX has no mark of its own."""
        from mnist_edge.formats.onnx.header import read_header

        try:
            return read_header(data).ir_version > 0
        except ValueError:
            return False

    def header(self, data: bytes) -> Header:
        """See `FileFormat.header`."""
        from mnist_edge.formats.onnx.header import read_header

        try:
            return read_header(data)
        except ValueError as error:
            raise BadInput(
                f"not an ONNX file: {error}", fix="give an ONNX file as mnist-edge export wrote it"
            ) from None
