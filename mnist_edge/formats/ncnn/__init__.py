"""ncnn, for phones and small boards: a `.param` file with the layers, a `.bin` with the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_edge.formats.format import Backend, FileFormat, Header, Loading, Written
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Precision

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source

_WEIGHTS = ".bin"


class Ncnn(FileFormat):
    """Two files, written from the typed graph; float16 is of the weights, computed in float32."""

    name = "ncnn"
    suffix = ".param"
    precisions = ("float32", "float16")
    tolerance = Tolerance(max_abs_error=1e-4)
    extra = "ncnn"
    package = "ncnn"
    default = False
    needs = (_WEIGHTS,)

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        from mnist_edge.formats.ncnn.write import write_ncnn

        metadata = source.metadata("ncnn", precision)
        param, weights = write_ncnn(source.onnx("float32"), precision, metadata)
        return Written(param, {_WEIGHTS: weights})

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        from mnist_edge.formats.ncnn.run import NcnnBackend

        return NcnnBackend(written.data, written.companions[_WEIGHTS], how)

    def is_one(self, data: bytes) -> bool:
        """By the number in its first line."""
        return data.startswith(b"7767517\n")

    def header(self, data: bytes) -> Header:
        """See `FileFormat.header`."""
        from mnist_edge.formats.ncnn.read import read_param

        return Header(metadata=read_param(data))
