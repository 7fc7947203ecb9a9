"""torch.export's format, the successor of TorchScript that torch names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_edge.formats.format import Backend, Loading, Written
from mnist_edge.formats.torchscript import TorchScript
from mnist_edge.recipes.terms import Precision

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source


class Program(TorchScript):
    """A captured graph, which may call any of torch's operators."""

    name = "pt2"
    suffix = ".pt2"
    precisions = ("float32", "float16")

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        from mnist_edge.formats.pt2.write import export_program

        network = source.torch(precision)
        return Written(export_program(network, source.metadata(self.name, precision)))

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        from mnist_edge.formats.pt2.run import ProgramBackend

        return ProgramBackend(written.data, how)

    def is_one(self, data: bytes) -> bool:
        """An archive that says so."""
        from mnist_edge.formats.archive import archive_format

        return archive_format(data) == self.name
