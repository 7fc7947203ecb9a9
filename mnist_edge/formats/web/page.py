"""The page put together, and taken apart again. Needs nothing but the standard library."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from dataclasses import dataclass
from importlib import resources

from mnist_edge.bundle import codec
from mnist_edge.errors import BadInput
from mnist_edge.formats.format import Header

# The SHA-256 of every engine that was ever published: a page with another one is not ours to run.
ENGINES = {
    "float32": ("ffeb01f3c52907a0167f6a189e5d3682939ac1f1d8e473935bcae9460eab858b",),
    "int8": ("5d3dffde10e09fcdf4d9ff3abd89289d196dbb55b4568ed9d05253a33bc40fec",),
}

_FIX = "give a page as mnist-edge export wrote it"
_MOST_BYTES = 1 << 27
_POLICY = (
    "default-src 'none'; script-src '{script}' 'wasm-unsafe-eval'; style-src '{style}'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
_ORDER = ("metadata", "names", "answers", "engine", "reader", "net")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page holds.

    Attributes:
        metadata: what it says of itself.
        engine: WebAssembly that runs the net.
        reader: WebAssembly that brings a picture to what the net takes.
        net: the net as data.
        answers: float32, what the net says of the golden digits.
    """

    metadata: dict[str, str]
    engine: bytes
    reader: bytes
    net: bytes
    answers: bytes


def part(name: str) -> bytes:
    """One of the files that every page is made of."""
    return resources.files(__package__).joinpath(name).read_bytes()


def put_together(page: Page) -> bytes:
    """The HTML file."""
    script, style = (_shortened(part(f"page/page.{kind}").decode()) for kind in ("js", "css"))
    texts = {
        "metadata": _json(page.metadata),
        "names": _json(Header(metadata=page.metadata).classes),
        "answers": base64.b64encode(page.answers).decode(),
        **{name: _packed(getattr(page, name)) for name in ("engine", "reader", "net")},
    }
    recipe, precision = page.metadata["recipe"], page.metadata["precision"]
    marks = {
        "policy": _POLICY.format(script=_digest(script), style=_digest(style)),
        "title": html.escape(f"{recipe}, {precision}"),
        "about": html.escape(
            f"The net {recipe} in {precision}. It runs in this page alone: nothing is sent or kept."
        ),
        "style": style,
        "script": script,
        "blocks": "\n".join(
            f'<script type="text/plain" id="{name}">{texts[name]}</script>' for name in _ORDER
        ),
    }
    frame = part("page/page.html").decode()
    return re.sub(r"@(\w+)@", lambda match: marks[match[1]], frame).encode("utf-8")


def take_apart(data: bytes) -> Page:
    """What a page holds.

    Raises:
        BadInput: it is none of ours, or damaged.
    """
    try:
        text = data.decode("utf-8")
        found = re.findall(r'<script type="text/plain" id="(\w+)">([^<]*)</script>', text)
        _check_parts([name for name, _ in found])
        texts = dict(found)
        return Page(
            metadata=codec.loads(dict[str, str], texts["metadata"]),
            answers=base64.b64decode(texts["answers"], validate=True),
            **{name: _unpacked(texts[name]) for name in ("engine", "reader", "net")},
        )
    except (ValueError, zlib.error) as error:
        raise BadInput(f"not a page of mnist-edge: {error!s:.200}", fix=_FIX) from None


def _json(value: object) -> str:
    """JSON that cannot end the block that it stands in."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")


def _check_parts(names: list[str]) -> None:
    if sorted(names) != sorted(_ORDER):
        raise ValueError(f"its parts are {', '.join(names) or 'not there'}")


def _shortened(text: str) -> str:
    """A script or a style without what is there for those who read its source."""
    return re.sub(r"^[ \t]*(//.*)?\n|^[ \t]+", "", text, flags=re.MULTILINE)


def _digest(text: str) -> str:
    """How a content policy names the one script or style that it lets through."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _packed(data: bytes) -> str:
    """Deflated, four bytes as five letters; a comma for the one that HTML would take for a tag."""
    return base64.b85encode(zlib.compress(data, 9)).decode().replace("<", ",")


def _unpacked(text: str) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b85decode(text.replace(",", "<")), _MOST_BYTES)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("a part of it is cut off, or too long")
    return data
