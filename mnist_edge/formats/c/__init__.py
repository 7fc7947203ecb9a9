"""C99: one file that needs no runtime, and its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_edge.errors import MissingDependency
from mnist_edge.formats.format import NO_WISH, Backend, FileFormat, Loading, Wish, Written
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Precision

if TYPE_CHECKING:
    from mnist_edge.formats.source import Source


class C(FileFormat):
    """A C file, built by the machine's own compiler; the header is the first part of it."""

    name = "c"
    suffix = ".c"
    precisions = ("float32", "int8")
    tolerance = Tolerance(max_abs_error=1e-4)
    wishes = ("prefix", "picture")
    runs_code = True
    by_hand = "cc -O3 -DMNIST_EDGE_SELFTEST {} && ./a.out"

    def write(self, source: Source, precision: Precision) -> Written:
        """See `FileFormat.write`."""
        return self.write_as(source, precision, NO_WISH)

    def write_as(self, source: Source, precision: Precision, wish: Wish) -> Written:
        """See `FileFormat.write_as`."""
        from mnist_edge.formats.c.write import header_of, write_c

        prefix = wish.prefix or source.name
        most = self.tolerance.max_abs_error
        code = write_c(source, precision, prefix=prefix, tolerance=most, reads=wish.picture)
        return Written(code, {".h": header_of(code)})

    def wish_of(self, written: Written) -> Wish:
        """See `FileFormat.wish_of`."""
        from mnist_edge.formats.c.write import prefix_of, reads_pictures

        return Wish(prefix=prefix_of(written.data), picture=reads_pictures(written.data))

    def load(self, written: Written, how: Loading) -> Backend:
        """See `FileFormat.load`."""
        from mnist_edge.formats.c.run import CBackend

        return CBackend(written.data, how)

    def absent(self) -> str:
        """Where there is no compiler."""
        from mnist_edge.formats.c.compiler import find_compiler

        try:
            find_compiler()
        except MissingDependency as error:
            return str(error)
        return ""
