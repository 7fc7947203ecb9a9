"""Take an HDF5 file apart in a process of its own: a damaged one can crash libhdf5, or stop it.

    python -m mnist_edge.foreign.hdf5 < FILE

reads nothing but its input and writes an archive of arrays: each data set under its path, and the
text attributes of groups as bytes under `path@name`. Links to elsewhere are not followed.
"""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import BadInput

if TYPE_CHECKING:
    import h5py  # type: ignore[import-untyped]

_SECONDS = 60
_MOST_BYTES = 1 << 30
_MOST_OBJECTS = 20_000
_DEEPEST = 32
_ATTRIBUTES = ("model_config", "weight_names", "layer_names", "keras_version")
_REFUSED = 3

FIX = "save the model once more where it was made, with model.save(path)"


def read_hdf5(data: bytes) -> dict[str, NDArray[np.generic]]:
    """The data sets of an HDF5 file by path, and attributes by path and name.

    Raises:
        BadInput: it is damaged, takes too long, or leads out of itself.
    """
    command = [sys.executable, "-m", "mnist_edge.foreign.hdf5"]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BadInput(f"it takes more than {_SECONDS} s to read: it is damaged", fix=FIX) from None
    if done.returncode == _REFUSED:
        raise BadInput(done.stderr.decode(errors="replace").strip()[-300:], fix=FIX)
    if done.returncode:
        raise BadInput("it is damaged: what reads HDF5 files ended over it", fix=FIX)
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _take_apart(data: bytes) -> dict[str, NDArray[np.generic]]:
    import h5py

    found: dict[str, NDArray[np.generic]] = {}
    with h5py.File(io.BytesIO(data), "r") as file:
        _Walk(found).group(file, "", 0)
    return found


class _Walk:
    """What was found so far, and how much room it takes."""

    def __init__(self, found: dict[str, NDArray[np.generic]]) -> None:
        self._found, self._bytes, self._objects = found, 0, 0

    def group(self, group: h5py.Group, path: str, depth: int) -> None:
        """All that a group holds itself, in the order of its names."""
        import h5py

        if depth > _DEEPEST:
            raise ValueError("its groups lie in each other without an end")
        self._attributes(group, path)
        for name in group:
            self._objects += 1
            if self._objects > _MOST_OBJECTS:
                raise ValueError(f"it has more than {_MOST_OBJECTS:,} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path}/{name} is a link that leads elsewhere")
            item = group[name]
            below = f"{path}/{name}" if path else name
            if isinstance(item, h5py.Group):
                self.group(item, below, depth + 1)
            else:
                self._dataset(item, below)

    def _attributes(self, group: h5py.Group, path: str) -> None:
        for name in group.attrs:
            stem = name.rstrip("0123456789")  # long lists are cut into several attributes
            if stem not in _ATTRIBUTES:
                continue
            value: Any = group.attrs[name]
            items = [value] if isinstance(value, (str, bytes)) else list(value)
            texts = [i.encode() if isinstance(i, str) else bytes(i) for i in items]
            self._room(sum(map(len, texts)))
            joined = b"\0".join(texts)
            self._found[f"{path}@{name}"] = np.frombuffer(joined, np.uint8)

    def _dataset(self, dataset: h5py.Dataset, path: str) -> None:
        if not isinstance(dataset.dtype, np.dtype) or dataset.dtype.kind not in "fiu":
            return
        if dataset.is_virtual or dataset.external:
            raise ValueError(f"{path} lies in another file")
        self._room(dataset.size * dataset.dtype.itemsize)
        chunk = dataset.chunks or ()
        if chunk and int(np.prod(chunk, dtype=object)) * dataset.dtype.itemsize > _MOST_BYTES:
            raise ValueError(f"{path} is kept in pieces of more than a GiB")
        self._found[path] = dataset[()]

    def _room(self, count: int) -> None:
        self._bytes += count
        if self._bytes > _MOST_BYTES:
            raise ValueError("it holds more than a GiB")


def main() -> int:
    """Read from standard input, write to standard output."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (6 * _MOST_BYTES, 6 * _MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = _take_apart(sys.stdin.buffer.read())
    except (ValueError, OSError, RuntimeError, KeyError, TypeError, MemoryError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        sys.stderr.write(f"it cannot be read as HDF5: {text}\n")
        return _REFUSED
    buffer = io.BytesIO()
    np.savez(buffer, **found)  # type: ignore[arg-type]
    sys.stdout.buffer.write(buffer.getvalue())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
