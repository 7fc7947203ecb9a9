"""Every format that an artifact may have, and the one seam of the project: `open_backend`.

Importing this loads no runtime, and neither numpy: the command line asks it for its help.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mnist_edge.errors import (
    BadInput,
    MissingDependency,
    UsageError,
    has_torch,
    missing_package,
)
from mnist_edge.formats.c import C
from mnist_edge.formats.checkpoint import Checkpoint
from mnist_edge.formats.format import (
    NO_WISH,
    USUAL,
    Backend,
    DeviceResident,
    FileFormat,
    Loading,
    Wish,
    Written,
)
from mnist_edge.formats.litert import LiteRt
from mnist_edge.formats.ncnn import Ncnn
from mnist_edge.formats.onnx import Onnx
from mnist_edge.formats.original import Original
from mnist_edge.formats.ort import Ort
from mnist_edge.formats.pt2 import Program
from mnist_edge.formats.torchscript import TorchScript
from mnist_edge.formats.web import Web
from mnist_edge.recipes.classes import DIGITS
from mnist_edge.recipes.terms import Device, Format, Precision, Runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.bundle.manifest import Artifact
    from mnist_edge.contract import Images
    from mnist_edge.formats.source import Source
    from mnist_edge.recipes.export import ExportRecipe
    from mnist_edge.recipes.train import TrainRecipe

__all__ = [
    "FORMATS",
    "Backend",
    "DeviceResident",
    "FileFormat",
    "Loading",
    "Wish",
    "Written",
    "companions_of",
    "export_pairs",
    "exported_formats",
    "find_artifact",
    "load_artifact",
    "load_backend",
    "missing_runtime",
    "open_backend",
    "recognise",
    "reference_logits",
    "run_by",
    "write_artifact",
]

# Since 1.29 ONNX Runtime phones home and writes into the user's cache folder, unless this is set
# before it is imported: by any module in here. Whoever has set it keeps their choice.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MAX_FILE_BYTES = 1 << 30

# No entry points for others: a manifest that names an unknown format must fail closed.
FORMATS: dict[Format, FileFormat] = {
    format_.name: format_
    for format_ in (
        Checkpoint(),
        Original(),
        TorchScript(),
        Program(),
        Onnx(),
        Ort(),
        C(),
        LiteRt(),
        Ncnn(),
        Web(),
    )
}


def exported_formats() -> tuple[Format, ...]:
    """The names of those that `export` writes."""
    return tuple(name for name, format_ in FORMATS.items() if format_.precisions)


_OPTIONS = (("prefix", "--name"), ("tflm", "--tflm"), ("picture", "--with-picture"))
"""The wishes, and the options that state them."""


def export_pairs(recipe: ExportRecipe) -> tuple[tuple[Format, Precision], ...]:
    """The artifacts that a recipe asks for; float32 first, since the others are made from it.

    Raises:
        UsageError: not one of its formats can hold a precision.
    """
    formats = tuple(dict.fromkeys(recipe.formats))
    for field, option in _OPTIONS:
        able = [name for name, format_ in FORMATS.items() if field in format_.wishes]
        if getattr(recipe, field) and not set(able) & set(formats):
            raise UsageError(
                f"{option} means nothing to {' and '.join(formats)}",
                fix=f"add --format {' or '.join(able)}, or leave {option} away",
            )
    wanted = {name: recipe.precisions or (FORMATS[name].usual,) for name in formats}
    for precision in recipe.precisions:
        if not any(precision in FORMATS[format_].precisions for format_ in formats):
            raise UsageError(
                f"{' and '.join(formats)} cannot hold {precision}",
                fix="see the matrix in mnist-edge export --help",
            )
    return tuple(
        (format_, precision)
        for precision in get_args(Precision)
        for format_ in formats
        if precision in wanted[format_] and precision in FORMATS[format_].precisions
    )


def find_artifact(bundle: Bundle, name: str) -> Artifact:
    """An artifact that a user named.

    Raises:
        UsageError: there is none; the message lists those that are there, and tells how to
            export it if it is one that there might be.
    """
    try:
        return bundle.artifact(name)
    except UsageError as error:
        from mnist_edge.bundle.folder import is_shipped

        if is_shipped(bundle.path) or not has_torch():
            raise
        for known, format_ in FORMATS.items():
            for precision in format_.precisions:
                if name == f"{known}-{precision}":
                    options = f"--bundle {bundle.path} --format {known} --precision {precision}"
                    fix = f"{error.fix}, or run mnist-edge export {options}"
                    raise UsageError(error.what, fix=fix) from None
        raise


def recognise(data: bytes) -> FileFormat | None:
    """The format of a file that left its bundle, if it is one of ours."""
    return next((format_ for format_ in FORMATS.values() if format_.is_one(data)), None)


def companions_of(
    path: Path, format_: FileFormat, vouching: tuple[Bundle, Artifact] | None
) -> dict[str, bytes]:
    """The files without which a file that left its bundle cannot run, by suffix.

    Where a bundle names the main file, `vouching` is that, and what it is there.

    Raises:
        BadInput: one does not lie beside it.
        DigestMismatch: the bundle names another one.
    """
    from mnist_edge.bundle.storage import read_file

    if vouching:
        bundle, artifact = vouching
        return bundle.read_companions(artifact)
    companions = {}
    for suffix in format_.needs:
        beside = path.with_suffix(suffix)
        try:
            companions[suffix] = read_file(beside, most=_MAX_FILE_BYTES)
        except OSError as error:
            raise BadInput(
                f"{path} needs {beside.name} beside it: {error.strerror}",
                fix=f"copy both files of the {format_.name} artifact",
            ) from None
    return companions


def write_artifact(
    source: Source, format_: Format, precision: Precision, wish: Wish = NO_WISH
) -> Written:
    """The files of one artifact.

    Raises:
        UsageError: the format cannot hold the precision, the opset cannot be written, or
            quantization finds nothing to quantize.
        MissingDependency: a package is not installed.
    """
    if precision not in FORMATS[format_].precisions:
        raise FORMATS[format_].refuse(precision)
    try:
        return FORMATS[format_].write_as(source, precision, wish)
    except ModuleNotFoundError as error:
        raise missing_package(error, "export") from error


@contextmanager
def open_backend(bundle: Bundle, artifact: Artifact, how: Loading = USUAL) -> Iterator[Backend]:
    """`load_artifact`, which see for what it takes and raises; the backend is closed at the end."""
    with closing(load_artifact(bundle, artifact, how)) as backend:
        yield backend


def load_artifact(bundle: Bundle, artifact: Artifact, how: Loading = USUAL) -> Backend:
    """Load an artifact after its digest has been checked, for who closes the backend himself.

    Raises:
        Untrusted: it is a program, and nothing vouches for who wrote it.
        DigestMismatch: the file is not the one that the manifest names.
        DeviceUnavailable: the device is not there, or the runtime fell back to another.
        MissingDependency: the runtime is not installed.
    """
    from mnist_edge.formats.consent import check_consent

    written = Written(bundle.read(artifact), bundle.read_companions(artifact))
    check_consent(bundle, artifact, FORMATS[artifact.format])
    manifest = bundle.manifest
    how = replace(how, recipe=manifest.recipe, classes=len(manifest.data.classes))
    return _load(written, artifact.format, how)


def load_backend(
    data: bytes,
    format_: Format,
    recipe: TrainRecipe | None = None,
    *,
    classes: int = len(DIGITS),
    companions: Mapping[str, bytes] = {},
    device: Device = "cpu",
    threads: int = 1,
    runtime: Runtime | Literal[""] = "",
) -> Backend:
    """Load an artifact from its bytes, which the caller has checked or has just made.

    See `Loading` for the arguments, and `load_artifact` for the errors.
    """
    how = Loading(recipe=recipe, classes=classes, device=device, threads=threads, runtime=runtime)
    return _load(Written(data, companions), format_, how)


def _load(written: Written, format_: Format, how: Loading) -> Backend:
    if how.runtime and how.runtime not in FORMATS[format_].runtimes:
        raise UsageError(
            f"{how.runtime} does not run {format_} files",
            fix=f"choose one of {', '.join(_run_by(how.runtime))}, or leave --backend away",
        )
    try:
        return FORMATS[format_].load(written, how)
    except ModuleNotFoundError as error:
        raise missing_runtime(error, format_, how.runtime) from error


def missing_runtime(
    error: ModuleNotFoundError, format_: Format, runtime: Runtime | Literal[""] = ""
) -> MissingDependency:
    """The error for a runtime that is not installed."""
    known = FORMATS[format_]
    extra = known.runtimes[runtime] if runtime else known.extra
    return missing_package(error, f"run {format_} files", extra=extra)


def run_by(bundle: Bundle, runtime: Runtime, names: Iterable[str] = ()) -> tuple[str, ...]:
    """The artifacts of a bundle that a runtime runs: those that were named, else all there are.

    Raises:
        UsageError: it does not run one that was named, or there is none.
    """
    known = _run_by(runtime)
    chosen = [find_artifact(bundle, name) for name in names] or list(bundle.manifest.artifacts)
    found = tuple(artifact.name for artifact in chosen if artifact.format in known)
    if (names and len(found) < len(chosen)) or not found:
        raise UsageError(
            f"{runtime} runs {' and '.join(known)} files alone",
            fix=f"name those with --artifact, or run mnist-edge export --format {known[0]}",
        )
    return found


def _run_by(runtime: Runtime) -> tuple[Format, ...]:
    return tuple(name for name, format_ in FORMATS.items() if runtime in format_.runtimes)


def reference_logits(
    bundle: Bundle,
    images: Images,
    *,
    threads: int = 1,
    on_batch: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float64]:
    """The origin's (N, classes) logits in double precision: what all artifacts are judged by.

    Args:
        bundle: whose checkpoint, or net of others, is run.
        images: (N, 1, 28, 28) float32 in [0, 1].
        threads: of torch.
        on_batch: told how many more images are done.

    Raises:
        MissingDependency: torch, or for a net of others the package `onnx`, is not installed.
    """
    origin = bundle.manifest.origin
    data, recipe = bundle.read(origin), bundle.manifest.recipe
    try:
        if recipe is None:
            from mnist_edge.formats.original.exact import exact_logits

            return exact_logits(data, images, on_batch=on_batch)
        from mnist_edge.formats.checkpoint.run import checkpoint_logits
    except ModuleNotFoundError as error:
        raise missing_package(
            error, f"run the {origin.format}", extra=FORMATS[origin.format].extra
        ) from error
    return checkpoint_logits(data, recipe, images, threads=threads, on_batch=on_batch)
