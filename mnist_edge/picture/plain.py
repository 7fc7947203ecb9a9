"""A picture as it is, grey and small: for nets of things that are no ink on paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.contract import SIDE
from mnist_edge.picture import paper
from mnist_edge.picture.digit import framed


def shrink(image: Image.Image, steps: list[str]) -> NDArray[np.uint8]:
    """Bring a whole picture to (28, 28), its longer side to 28 pixels, the rest black.

    Neither is it inverted nor is anything cut off: what was trained on looks the same.

    Raises:
        BadInput: it has too few pixels.
    """
    factor = paper.reduction(image.size)
    if image.mode in paper.WIDE_MODES:
        grey = Image.fromarray(paper.grey_of(image, factor, steps))
    else:
        mode = "RGBA" if image.has_transparency_data else "L"
        grey = paper.reduced(image, (0, 0, *image.size), mode, factor, steps)
    if grey.mode == "RGBA":
        steps.append("transparency laid on black")
        grey = Image.alpha_composite(Image.new("RGBA", grey.size, "black"), grey).convert("L")
    scale = SIDE / max(grey.size)
    width, height = (max(1, round(length * scale)) for length in grey.size)
    kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    steps.append(f"brought from {image.width}x{image.height} to {width}x{height} pixels")
    return framed(np.asarray(grey.resize((width, height), kind)))
