"""Fetch MNIST from torchvision's mirror, and other sets from where they were published.

The address is torchvision's, the download is not: its own has no time-out, falls back to plain
HTTP, checks MD5, and takes any file that is already there for good.
"""

from __future__ import annotations

import gzip
import http.client
import io
import os
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO
from urllib.error import URLError
from urllib.parse import urlsplit

from mnist_edge.bundle.storage import atomic_write, open_file
from mnist_edge.data.mnist import MNIST_FILES, open_raw, unpack
from mnist_edge.data.named import NAMED, Published
from mnist_edge.errors import BadInput, DataUnavailable, StorageError
from mnist_edge.progress import Progress, silent
from mnist_edge.recipes.terms import NamedData

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/",)
"""What stands before the names of MNIST's files."""

_BLOCK_BYTES = 1 << 16
# What gzip may add, at most, to a file that it cannot compress.
_GZIP_EXTRA_BYTES = 1 << 16
# A server that sends a byte now and then never times out, so each file has a limit, too. At
# 10 MB for the largest file this asks for 17 kB/s.
_FILE_LIMIT_S = 600.0
_LEAST_BYTES_PER_S = 100_000  # of larger ones

# URLError and time-outs are OSError; a nonsensical answer may also end in ValueError.
_FAILURES = (OSError, ValueError, http.client.HTTPException)


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never away from HTTPS."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise URLError("it redirects to plain HTTP")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_mnist(folder: Path, *, timeout_s: float, progress: Progress = silent) -> Path:
    """Bring the four files of MNIST into `folder`; those that are there and good stay.

    A file appears under its name only when it is whole and its raw bytes have the right SHA-256,
    so neither an interrupt nor a second fetch at the same time can leave anything else there.

    Args:
        folder: made if it is not there; in `cache_dir()`, `find_mnist` finds the files again.
        timeout_s: how long a server may be silent, in seconds.
        progress: told the bytes that the files fetched so far unpack to.

    Returns:
        `folder`.

    Raises:
        DataUnavailable: no mirror gave all the files.
        StorageError: `folder` cannot be written to.
    """
    wanted = [name for name in MNIST_FILES if not _is_good(folder / f"{name}.gz", name)]
    total = sum(MNIST_FILES[name].size_bytes for name in wanted)
    done = 0
    for name in wanted:
        size = MNIST_FILES[name].size_bytes

        def report(share: float, *, before: int = done, size: int = size) -> None:
            progress(before + int(size * share), total, "bytes of MNIST")

        body = _from_any(name, timeout_s, report, folder)
        atomic_write(folder / f"{name}.gz", body)
        done += size
    return folder


def _from_any(name: str, timeout_s: float, report: Callable[[float], None], folder: Path) -> bytes:
    reasons = []
    for mirror in MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            body = io.BytesIO()
            most = MNIST_FILES[name].size_bytes + _GZIP_EXTRA_BYTES
            _copy(url, body, most, timeout_s, report)
            body.seek(0)
            with gzip.GzipFile(fileobj=body) as stream:
                unpack(stream, name, source=url)
        except BadInput as error:
            reasons.append(error.what)
        except _FAILURES as error:
            reasons.append(f"{url}: {_cause(error)}")
        else:
            return body.getvalue()
    raise DataUnavailable(
        f"MNIST could not be fetched: {'; '.join(reasons)}",
        fix=f"use --data rendered, or put {', '.join(MNIST_FILES)} (raw or .gz) into {folder}",
    )


def _cause(error: Exception) -> str:
    return str((error.reason if isinstance(error, URLError) else error) or type(error).__name__)


def _copy(
    url: str, to: BinaryIO, limit_bytes: int, timeout_s: float, report: Callable[[float], None]
) -> None:
    """Copy what is at `url`. Raises one of `_FAILURES`."""
    deadline = time.monotonic() + max(_FILE_LIMIT_S, limit_bytes / _LEAST_BYTES_PER_S)
    request = urllib.request.Request(url, headers={"User-Agent": "mnist-edge"})  # noqa: S310
    with urllib.request.build_opener(_HttpsOnly).open(request, timeout=timeout_s) as response:
        total = response.length or 0  # None where the server does not say
        done = 0
        # read1 returns what has come; read would wait for the whole block, past any deadline.
        while block := response.read1(_BLOCK_BYTES):
            to.write(block)
            done += len(block)
            if done > limit_bytes:
                raise OSError("the file is far too long")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not finished after {_FILE_LIMIT_S:g} s")
            report(min(1.0, done / total) if total else 0.0)
    report(1.0)


def fetch_named(
    name: NamedData, folder: Path, *, timeout_s: float, progress: Progress = silent
) -> Path:
    """Bring the files of a set that has a name into `folder`; those that are there and good stay.

    A file appears under its name only when it is whole and has the digest that it was published
    with. Raises as `fetch_mnist` does.
    """
    known = NAMED[name]
    for number, file in enumerate(known.files):
        path = folder / file.name
        if _is_there(file, path):
            continue

        def report(share: float, number: int = number) -> None:
            done, total = round(1000 * (number + share)), 1000 * len(known.files)
            progress(done, total, f"thousandths of {known.title}")

        _fetch_one(file, path, known.title, timeout_s, report)
    return folder


def _fetch_one(
    file: Published, path: Path, title: str, timeout_s: float, report: Callable[[float], None]
) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}",
            fix="name another folder with --data-dir, or make it writable",
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w+b") as stream:
            _copy(file.url, stream, file.most_bytes, timeout_s, report)
            stream.seek(0)
            good = file.is_one(stream)
        reason = "" if good else "it is not the file that was published"
        if good:
            temporary.replace(path)
    except _FAILURES as error:
        reason = _cause(error)
    finally:
        temporary.unlink(missing_ok=True)
    if reason:
        raise DataUnavailable(
            f"{title} could not be fetched: {file.url}: {reason}",
            fix=f"put {file.name} into {path.parent}, or name its folder with --data-dir",
        )


def _is_there(file: Published, path: Path) -> bool:
    try:
        with open_file(path) as stream:
            return file.is_one(stream)
    except OSError:
        return False


def _is_good(path: Path, name: str) -> bool:
    try:
        with open_raw(path) as stream:
            unpack(stream, name, source=str(path))
    except (OSError, BadInput):
        return False
    return True
