"""TorchScript."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mnist_edge.formats.format import Backend, FileFormat, Header, Loading, Written
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Format, Precision

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source


class TorchScript(FileFormat):
    """A traced and frozen program, which may call any of torch's operators."""

    name: ClassVar[Format] = "torchscript"
    suffix = ".pt"
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "float16", "int8-dynamic")
    tolerance = Tolerance(max_abs_error=1e-5)
    extra = "train"
    package = "torch"
    runs_code = True
    from_onnx = False

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        from mnist_edge.formats.torchscript.write import export_torchscript

        network = source.torch(precision)
        return Written(export_torchscript(network, source.metadata(self.name, precision)))

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        from mnist_edge.formats.torchscript.run import TorchScriptBackend

        return TorchScriptBackend(written.data, how)

    def is_one(self, data: bytes) -> bool:
        """An archive that does not say that it is another."""
        from mnist_edge.formats.archive import archive_format

        return archive_format(data) in (self.name, "?")

    def header(self, data: bytes) -> Header:
        """See `FileFormat.header`."""
        from mnist_edge.formats.archive import archive_metadata

        return Header(metadata=archive_metadata(data))
