"""One exported file, far from its bundle: what it is, and whether it still gives its answers."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np

from mnist_edge.bundle.folder import Bundle
from mnist_edge.bundle.golden import KEY, unpack_golden
from mnist_edge.bundle.imported import FOREIGN
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.bundle.signing import ANYONE, Trust, vouching_bundle
from mnist_edge.bundle.storage import read_file, readable
from mnist_edge.contract import IMAGE_SHAPE
from mnist_edge.doctor.checks import Check, run_golden
from mnist_edge.errors import BadInput, MissingDependency, in_shell
from mnist_edge.foreign.kinds import refuse_stranger
from mnist_edge.formats import (
    FORMATS,
    Backend,
    FileFormat,
    companions_of,
    load_backend,
    recognise,
)
from mnist_edge.formats.consent import may_run, untrusted
from mnist_edge.formats.format import Header
from mnist_edge.formats.tolerances import Tolerance
from mnist_edge.recipes.terms import Format, Precision

_MAX_FILE_BYTES = 1 << 30
_FIX = "give a file that mnist-edge export wrote"


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """What `examine_file` found.

    Attributes:
        file: its name.
        sha256: of its bytes, to compare with the manifest of its bundle.
        ir_version: of the ONNX file format; 0 for formats that have none.
        opset: the ONNX operator set; the same.
        metadata: what the file says of itself, the golden vectors left out.
        check: of the golden vectors.
    """

    schema: Literal[1]
    file: str
    size_bytes: int
    sha256: str
    format: Format
    precision: Precision
    ir_version: int
    opset: int
    metadata: dict[str, str]
    check: Check

    @property
    def passed(self) -> bool:
        """Whether the file does not give other answers than it should."""
        return self.check.status != "failed"


def examine_file(path: Path, trust: Trust = ANYONE, *, threads: int = 1) -> FileReport:
    """Describe one exported file, and run the golden vectors that it carries.

    Torch's formats are programs that may call any operator. They run only by the consent that
    their bundle has, or where the user says so.

    Raises:
        BadInput: there is no such file, it is no artifact, or it cannot run.
        DigestMismatch: as for `vouching_bundle`.
        Untrusted: as there, or the file is a program and nothing vouches for who wrote it.
        MissingDependency: onnxruntime is not installed.
    """
    for known in FORMATS.values():
        if known.by_hand and path.suffix == known.suffix:
            raise BadInput(
                f"{path} is {known.name.upper()}, which is compiled, not loaded",
                fix=f"run {known.by_hand.format(in_shell(path))}",
            )
    with readable(path, BadInput, _FIX):
        data = read_file(path, most=_MAX_FILE_BYTES)
    vouching = vouching_bundle(path, data, trust)
    # Of ONNX, which has no mark, a file may be too damaged to be known.
    format_ = recognise(data) or FORMATS["onnx"]
    try:
        return _examine(path, data, format_, vouching, trust, threads)
    except BadInput as error:  # a runtime knows the bytes alone
        if str(path) in error.what:
            raise
        raise BadInput(f"{path}: {error.what}", fix=error.fix) from None


def _examine(
    path: Path,
    data: bytes,
    format_: FileFormat,
    vouching: tuple[Bundle, Artifact] | None,
    trust: Trust,
    threads: int,
) -> FileReport:
    companions: dict[str, bytes] = {}
    if format_.runs_code:
        header = format_.header(data)
        if not trust.code and not (vouching and may_run(*vouching, format_)):
            raise untrusted(str(path))
    else:
        if vouching is None:
            refuse_stranger(path, data, format_)
        companions = companions_of(path, format_, vouching)
        header = format_.whole_header(data)
    classes = len(header.classes)
    try:
        backend = load_backend(
            data, format_.name, classes=classes, companions=companions, threads=threads
        )
    except MissingDependency as error:
        if not format_.runs_code:
            raise
        return _report(path, data, format_, header, str(error))
    with closing(backend):
        return _report(path, data, format_, header, backend)


def _report(
    path: Path, data: bytes, format_: FileFormat, header: Header, backend: Backend | str
) -> FileReport:
    """The report of a file; in place of a backend stands the reason why there is none."""
    metadata = dict(header.metadata)
    packed = metadata.pop(KEY, "")
    precision = metadata.get("precision", "float32")
    if precision not in get_args(Precision):
        raise BadInput(f"{path} claims the precision {precision!r:.40}", fix=_FIX)
    if isinstance(backend, str):
        check = Check(artifact=path.name, backend="", status="not checked", reason=backend)
    else:
        gate = format_.gate(cast("Precision", precision), foreign=FOREIGN in metadata)
        check = _check(path.name, backend, packed, gate)
    return FileReport(
        schema=1,
        file=path.name,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        format=format_.name,
        precision=cast("Precision", precision),
        ir_version=header.ir_version,
        opset=header.opset,
        metadata=metadata,
        check=check,
    )


def _check(name: str, backend: Backend, packed: str, gate: Tolerance) -> Check:
    if not packed:
        backend.run(np.zeros((1, *IMAGE_SHAPE), np.float32))  # that it runs is all there is to say
        return Check(
            artifact=name,
            backend=f"{backend.name} {backend.version}",
            status="not checked",
            reason="it carries no golden vectors",
        )
    images, logits = unpack_golden(packed)
    # One by one, whatever the file: only its manifest knows whether a batch changes answers.
    return run_golden(name, backend, images, logits, gate, batch_invariant=False)
