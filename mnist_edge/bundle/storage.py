"""Files that are whole or not there: bounded reads, atomic writes, a lock, and array files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import math
import os
import re
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import (
    BadInput,
    BundleError,
    DataUnavailable,
    MnistEdgeError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    import zipfile

LOCK = ".lock"

_MAX_UNPACKED_BYTES = 64 << 20
_LEAST_ROOM_BYTES = 1 << 16
_BETWEEN_TRIES_S = 0.05
_END = "\n}\n"
_SEALED = re.compile(r'(.*),\n  "sha256": "([0-9a-f]{64})"\n}\n', re.DOTALL)


def open_file(path: Path | str) -> io.BufferedReader:
    """Open a regular file to read. Anything else may keep one waiting for ever, or do something.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe or a device; `strerror` says which.
    """
    _check_regular(Path(path).stat(), path)
    stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  for the caller
    try:
        _check_regular(os.fstat(stream.fileno()), path)  # it may have been exchanged since
    except OSError:
        stream.close()
        raise
    return stream


def read_file(path: Path | str, *, most: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: as for `open_file`, or it has more than `most` bytes.
    """
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it is longer than {most:,} bytes", str(path))
        data = stream.read(size + 1)
    if len(data) != size:
        raise OSError(errno.EIO, "it changes while it is read", str(path))
    return data


@contextlib.contextmanager
def readable(name: Path | str, kind: type[MnistEdgeError], fix: str) -> Iterator[None]:
    """Tell of a file of that name, if it cannot be read in here, as an error of that kind."""
    try:
        yield
    except OSError as error:
        raise kind(f"cannot read {name}: {error.strerror or error}", fix=fix) from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(found: os.stat_result, path: Path | str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the new one, never half of it.

    Raises:
        StorageError: no permission, no space, or something in the way; the old file is intact.
    """
    atomic_write_all([(path, data)])


def atomic_write_all(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write several files, each whole or not at all, and move them into place in this order.

    Everything is on the disk under temporary names before the first file is replaced, so a full
    disk, or something in the way, changes nothing. A path may stand more than once.

    Raises:
        StorageError: as for `atomic_write`.
    """
    temporaries: list[Path] = []
    path = Path()
    try:
        for path, data in files:
            temporaries.append(_write_beside(path, data))
        for (path, _), temporary in zip(files, temporaries, strict=True):
            temporary.replace(path)
            _keep_order(path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}",
            fix="free some space or choose another folder that you may write to",
        ) from error
    finally:
        # Those that were moved are gone; after a failure or an interrupt the rest must go too.
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                temporary.unlink()


def check_free(folder: Path, option: str) -> None:
    """Refuse a folder, named by an option, that holds something already, or is none.

    Raises:
        UsageError: something is there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not empty", fix=f"name another {option}")


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for files that nobody needs afterwards, where TMPDIR says.

    Raises:
        StorageError: there is none, or no room in it: whatever a library made of that.
    """
    import shutil
    import tempfile

    place = os.environ.get("TMPDIR", "") or tempfile.tempdir or "the folder for temporary files"
    full = StorageError(
        f"there is no room for temporary files in {place}",
        fix="free some space there, or set TMPDIR to another folder",
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield Path(folder)
            except Exception:
                if shutil.disk_usage(folder).free < _LEAST_ROOM_BYTES:
                    raise full from None
                raise
    except FileNotFoundError as error:
        if "temporary directory" in str(error):
            raise full from None
        raise


def _write_beside(path: Path, data: bytes) -> Path:
    # To replace would work on a device or a pipe, too: as root, `--out /dev/null` would destroy it.
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "something that is no regular file is in the way")
    path.parent.mkdir(parents=True, exist_ok=True)
    import tempfile  # slow to import, as is zipfile: who only reads a bundle does not wait for them

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; give what an ordinary open() would have given.
        Path(name).chmod(0o666 & ~_umask())
    except BaseException:
        Path(name).unlink()
        raise
    return Path(name)


def _keep_order(folder: Path) -> None:
    """Have what was moved in a folder on the disk before anything is moved after it.

    Without it a loss of power may leave a manifest whose files were not yet in their places. Where
    a system cannot do that for a folder, its own order must do.
    """
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fdatasync(handle) if hasattr(os, "fdatasync") else os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def lock(folder: Path, *, timeout_s: float = 10.0) -> Iterator[None]:
    """Let only one process at a time change a bundle.

    Raises:
        BundleError: another process has held it for `timeout_s` seconds.
        StorageError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not through a link, which would make a file wherever it points.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(folder / LOCK, flags, 0o666)
    except OSError as error:
        raise _not_writable(folder, error) from error
    try:
        _wait_for(handle, folder, timeout_s)
        yield
    finally:
        _release(handle)


def _wait_for(handle: int, folder: Path, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while True:
        try:
            return _seize(handle)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > end:
                raise BundleError(
                    f"another process is writing {folder}",
                    fix="wait for it to end, or give another --bundle",
                ) from None
        except OSError as error:  # a file system without locks
            raise _not_writable(folder, error) from error
        time.sleep(_BETWEEN_TRIES_S)


def _not_writable(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write to {folder}: {error.strerror or error}", fix="give another --bundle"
    )


if sys.platform == "win32":
    import msvcrt

    def _seize(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _release(handle: int) -> None:
        os.close(handle)

else:
    import fcntl

    def _seize(handle: int) -> None:
        """Lock an open file, at once or not at all. The end of a process, too, lets go of it."""
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)  # for processes, too, that were forked meanwhile
        os.close(handle)


def seal(document: str) -> str:
    """A JSON object as `codec.dumps` writes it, with the digest of its text as a last entry.

    The bundle's files are vouched for by its manifest; nothing else would vouch for the manifest.
    """
    body = document.removesuffix(_END)
    return f'{body},\n  "sha256": "{hashlib.sha256(body.encode()).hexdigest()}"{_END}'


def unseal(text: str) -> str:
    """The document that was sealed; one without a seal, written by hand, is given back as it is.

    Raises:
        ValueError: the text has changed since.
    """
    match = _SEALED.fullmatch(text)
    if match is None:
        return text
    body, digest = match.groups()
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        raise ValueError("it is damaged: its digest is another")
    return f"{body}{_END}"


def pack_arrays(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    """An .npz file whose bytes depend on the arrays alone.

    `numpy.savez` would store the time of writing in each entry.
    """
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)),
                entry.getvalue(),
                compress_type=zipfile.ZIP_DEFLATED,
                compresslevel=9,
            )
    return buffer.getvalue()


def unpack_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read what `pack_arrays` wrote. Raises BadInput for anything else; never unpickles."""
    try:
        return _unpack(data)
    # zipfile, zlib and numpy have a dozen classes for damaged bytes, MemoryError among them.
    except Exception as error:
        raise BadInput(
            f"not an array file: {error}",
            fix="make it again, or copy it again from where it was made",
        ) from None


def _unpack(data: bytes) -> dict[str, NDArray[Any]]:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > _MAX_UNPACKED_BYTES:
            raise ValueError(f"it would unpack to more than {_MAX_UNPACKED_BYTES:,} bytes")
        return {
            entry.filename.removesuffix(".npy"): _array(_read_entry(archive, entry))
            for entry in entries
        }


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as stream:
        # Asked for a number of bytes, it unpacks so many: an entry may lie about its size.
        content = stream.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise ValueError(f"{entry.filename!r:.40} is cut off")
    return content


def _array(content: bytes) -> NDArray[Any]:
    """An array file. Its header is read before there is room for what it claims."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array file of another version")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise ValueError(f"an array of shape {shape!s:.60} in {len(content) - start} bytes")
    flat = np.frombuffer(content, dtype, offset=start)
    return flat.reshape(shape, order="F" if by_columns else "C").copy()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_dir() -> Path:
    """The folder of this user for what can be had again. It need not exist.

    Raises:
        DataUnavailable: this user has no home folder.
    """
    return user_dir("XDG_CACHE_HOME", ".cache")


def user_dir(variable: str, place: str) -> Path:
    """A folder of this user. It need not exist.

    Args:
        variable: of the environment, that names the folder around it.
        place: in the home folder, where it does not.

    Raises:
        DataUnavailable: this user has no home folder.
    """
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else variable, "")
    # The XDG base directory specification: a relative path is to be ignored.
    if Path(base).is_absolute():
        return Path(base, "mnist-edge")
    try:
        return Path.home() / place / "mnist-edge"
    except RuntimeError:
        raise DataUnavailable(
            "there is no home folder to keep MNIST in",
            fix="set MNIST_EDGE_DATA to a folder that holds it, or train with --data rendered",
        ) from None
