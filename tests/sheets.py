"""Sheets of every kind, drawn at random: what the steps of the picture contract are there for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from drawn import draw
from PIL import Image, ImageDraw, ImageFilter

_Random = np.random.Generator


def sheets(count: int, seed: int = 8) -> Iterator[Image.Image]:
    """So many, each with a digit of some size and pen, and what one or two people may do to it."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        side = int(random.choice((28, 60, 110, 200, 340, 700)))
        size = (side, max(24, int(side * random.uniform(0.6, 1.4))))
        image = _digit(random, size)
        for change in random.choice(len(_CHANGES), random.integers(0, 3), replace=False):
            image = _CHANGES[change](image, random)
        yield _coloured(image, random) if random.random() < 0.15 else image


def _digit(random: _Random, size: tuple[int, int]) -> Image.Image:
    left, top = random.uniform(0.02, 0.4, 2)
    box = (left, top, left + random.uniform(0.2, 0.55), top + random.uniform(0.25, 0.55))
    pen = max(1, int(min(size) * random.uniform(0.01, 0.09)))
    paper, ink = random.integers(140, 256), random.integers(0, 110)
    return draw(
        int(random.integers(10)), size=size, box=box, pen=pen, ink=int(ink), paper=int(paper)
    )


def _ruled(image: Image.Image, random: _Random) -> Image.Image:
    step, grey = max(8, int(image.height * random.uniform(0.08, 0.3))), int(random.integers(0, 190))
    tool = ImageDraw.Draw(image)
    for y in range(step // 2, image.height, step):
        tool.line((0, y, image.width, y), grey)
    for x in range(step // 2, image.width if random.random() < 0.5 else 0, step):
        tool.line((x, 0, x, image.height), grey)
    return image


def _framed(image: Image.Image, random: _Random) -> Image.Image:
    edge = int(min(image.size) * random.uniform(0, 0.2))
    box = (edge, edge, image.width - 1 - edge, image.height - 1 - edge)
    ImageDraw.Draw(image).rectangle(box, outline=int(random.integers(0, 150)))
    return image


def _with_another(image: Image.Image, random: _Random) -> Image.Image:
    both = Image.new("L", (2 * image.width, image.height), image.getpixel((0, 0)))
    both.paste(image)
    both.paste(_digit(random, image.size), (image.width, 0))
    return both


def _fading(image: Image.Image, random: _Random) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    fade = np.linspace(1, random.uniform(0.1, 0.7), image.width)
    return Image.fromarray((pixels.max() - (pixels.max() - pixels) * fade).astype(np.uint8))


def _shaded(image: Image.Image, random: _Random) -> Image.Image:
    light = np.linspace(random.uniform(0.3, 1), 1, image.height)[:, None]
    return Image.fromarray((np.asarray(image) * light).astype(np.uint8))


def _speckled(image: Image.Image, random: _Random) -> Image.Image:
    for _ in range(random.integers(1, 40)):
        at = int(random.integers(image.width)), int(random.integers(image.height))
        image.putpixel(at, int(random.integers(0, 120)))
    return image


def _cut(image: Image.Image, random: _Random) -> Image.Image:
    y = int(image.height * random.uniform(0.2, 0.7))
    paper = image.getpixel((0, 0))
    ImageDraw.Draw(image).rectangle((0, y, image.width, y + max(1, image.height // 40)), fill=paper)
    return image


def _beside_a_table(image: Image.Image, random: _Random) -> Image.Image:
    across = int(image.width * random.uniform(0.02, 0.3))
    ImageDraw.Draw(image).rectangle((0, 0, across, image.height), fill=int(random.integers(0, 90)))
    return image


def _coloured(image: Image.Image, random: _Random) -> Image.Image:
    share = np.asarray(image).astype(np.float32)[..., None] / 255
    ink, paper = random.integers(0, 256, 3), random.integers(0, 256, 3)
    return Image.fromarray((paper * share + ink * (1 - share)).astype(np.uint8)).convert("RGB")


def _blurred(image: Image.Image, random: _Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 3)))


def _inverted(image: Image.Image, _: _Random) -> Image.Image:
    return Image.eval(image, lambda value: 255 - value)


_CHANGES: tuple[Callable[[Image.Image, _Random], Image.Image], ...] = (
    _ruled,
    _framed,
    _with_another,
    _fading,
    _shaded,
    _speckled,
    _cut,
    _beside_a_table,
    _blurred,
    _inverted,
)
