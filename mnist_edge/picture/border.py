"""What the picture's border cuts: the table beside the paper, a shadow, half a digit."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_edge.picture.components import Box, Components
from mnist_edge.picture.layout import Digit, typical_height

_LEAST = 6  # pixels, and
_LEAST_SHARE = 0.04  # of the page: what is smaller and whole is dust, and speaks for nothing

# A strip lies along one side of the page.
_ALONG = 0.6  # of its own length
_THIN = 0.2  # of the page
_WHOLE_SIDE = 0.9  # so long, it is none of a digit even on an empty page

_SOLID = 0.6  # of the box around it; strokes fill less
_EDGE_SHARE = 0.25  # of the whole border; a digit touches it in points
_DIGIT_SHARE = 0.2  # of the page

# Of the height of the whole digits.
_TIGHT = 0.25  # a page cut so close touches digits, and cuts none
_NEAR = 0.12  # so near, it is a piece of what is whole
_LARGE = 2.0  # what is larger is not cut: the small ones are not its like

Contacts: TypeAlias = NDArray[np.int64]


def at_border(parts: Components) -> NDArray[np.bool_]:
    """Of each part, whether it is cut by the border, and so is no digit.

    Where nothing on the page is whole, the digit itself touches the border.
    """
    labels = parts.labels
    if len(parts.boxes) == 1 and not _is_thin(parts.boxes[0], labels.shape):
        return np.zeros(1, np.bool_)
    sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    contacts = np.array([np.bincount(side, minlength=len(parts.boxes) + 1)[1:] for side in sides])
    cut = np.zeros(len(parts.boxes), np.bool_)
    touching = np.flatnonzero(contacts.any(axis=0)).tolist()
    if not touching:
        return cut
    whole = _whole(parts, touching)
    largest = max((max(digit.box.width, digit.box.height) for digit in whole), default=0)
    ring = 2 * (labels.shape[0] + labels.shape[1]) - 4
    for index in touching:
        box, contact = parts.boxes[index], contacts[:, index]
        if _is_strip(box, contact, labels.shape, alone=not whole):
            cut[index] = True
        elif whole:
            solid = parts.areas[index] > _SOLID * box.width * box.height
            along = contact.sum() > _EDGE_SHARE * ring
            if (along and largest > _DIGIT_SHARE * max(labels.shape)) or (
                solid and contact.max() > _ALONG * max(box.width, box.height)
            ):
                cut[index] = True
            else:
                cut[index] = _is_cut(box, contact, whole, labels.shape)
    return cut if not cut.all() or not whole else np.zeros_like(cut)


def _whole(parts: Components, touching: list[int]) -> list[Digit]:
    least = max(_LEAST, _LEAST_SHARE * max(parts.labels.shape))
    return [
        Digit((index,), int(parts.areas[index]), box)
        for index, box in enumerate(parts.boxes)
        if index not in touching and max(box.width, box.height) >= least
    ]


def _is_thin(box: Box, shape: tuple[int, ...]) -> bool:
    return box.height <= _THIN * shape[0] or box.width <= _THIN * shape[1]


def _is_strip(box: Box, contact: Contacts, shape: tuple[int, ...], *, alone: bool) -> bool:
    """Whether a part lies along one side, and is thin."""
    height, width = shape
    lying = contact[:2].max() >= _ALONG * box.width and box.height <= _THIN * height
    standing = contact[2:].max() >= _ALONG * box.height and box.width <= _THIN * width
    if alone:
        lying = lying and box.width >= _WHOLE_SIDE * width and box.width > box.height
        standing = standing and box.height >= _WHOLE_SIDE * height and box.height > box.width
    return bool((lying and box.width > box.height) or (standing and box.height > box.width))


def _is_cut(box: Box, contact: Contacts, whole: list[Digit], shape: tuple[int, ...]) -> bool:
    height = typical_height(whole)
    if max(box.width, box.height) > _LARGE * height:
        return False
    if min(_gap(box, digit.box) for digit in whole) < _NEAR * height:
        return False
    above = min(digit.box.top for digit in whole) > _TIGHT * height
    below = min(shape[0] - digit.box.bottom for digit in whole) > _TIGHT * height
    beside = contact[2:].any() and (above or below)
    return bool((contact[0] and above) or (contact[1] and below) or beside)


def _gap(one: Box, other: Box) -> int:
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return max(across, down)
