"""Whether an artifact whose format is a program may run.

A digest says that a file is the one that its manifest names. It does not say who wrote both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_edge.bundle.folder import Bundle, is_shipped
from mnist_edge.bundle.manifest import Artifact
from mnist_edge.bundle.own import was_made_here
from mnist_edge.errors import Untrusted

if TYPE_CHECKING:
    from mnist_edge.formats.format import FileFormat


def check_consent(bundle: Bundle, artifact: Artifact, format_: FileFormat) -> None:
    """Let an artifact run if it is no program, or somebody whom the user trusts vouches for it.

    Raises:
        Untrusted: it is a program, and nobody does.
    """
    if not may_run(bundle, artifact, format_):
        raise untrusted(artifact.name)


def untrusted(name: str) -> Untrusted:
    """The error for a program that nobody vouches for."""
    return Untrusted(
        f"{name} runs code, and nothing vouches for who wrote it",
        fix="give --trust if you know its maker, "
        "or --key with his key once he has signed it with mnist-edge sign",
    )


def may_run(bundle: Bundle, artifact: Artifact, format_: FileFormat) -> bool:
    """Whether nothing stands against running an artifact.

    A program may run if the user trusts its bundle (by a key or in so many words), if he made it
    here, or if it is what our own writer makes of the bundle's ONNX artifact.
    """
    if not format_.runs_code or bundle.trusted or bundle.signature or is_shipped(bundle.path):
        return True
    digests = (artifact.sha256, *(known.sha256 for known in bundle.companions(artifact)))
    return all(map(was_made_here, digests)) or _is_made_again(bundle, artifact, format_)


def _is_made_again(bundle: Bundle, artifact: Artifact, format_: FileFormat) -> bool:
    if not format_.from_onnx:
        return False
    from mnist_edge.formats.format import Written
    from mnist_edge.formats.source import onnx_source

    try:
        written = Written(bundle.read(artifact), bundle.read_companions(artifact))
        source = onnx_source(bundle, artifact.opset)
        return written == format_.write_as(source, artifact.precision, format_.wish_of(written))
    except Exception:
        return False
