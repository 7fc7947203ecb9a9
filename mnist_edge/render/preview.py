"""What the net was fed, as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.picture import Picture

_BLOCKS = " ▄▀█"  # two pixels above each other, by which of them are ink
_SHADES = " .:*#"  # for terminals that know ASCII alone
_INK = 96


def preview(picture: Picture, *, encoding: str) -> list[str]:
    """The 28x28 pixels as 14 lines of 28 characters, then what was done to get them."""
    pixels = picture.pixels.astype(int).tolist()
    pairs = [list(zip(*pixels[row : row + 2], strict=True)) for row in range(0, len(pixels), 2)]
    lines = ["".join(_block(above, below) for above, below in row) for row in pairs]
    try:
        "".join(lines).encode(encoding)
    except UnicodeEncodeError:
        lines = ["".join(_shade(above, below) for above, below in row) for row in pairs]
    return [*lines, *(f"- {step}" for step in picture.steps or ("taken as it is",))]


def _block(above: int, below: int) -> str:
    return _BLOCKS[2 * (above > _INK) + (below > _INK)]


def _shade(above: int, below: int) -> str:
    return _SHADES[(above + below) * (len(_SHADES) - 1) // (2 * 255)]
