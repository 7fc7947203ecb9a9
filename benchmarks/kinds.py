"""What people draw beside, around and instead of one clean digit, made of MNIST's test digits.

Each kind is drawn with a seed and read as `mnist-edge predict` reads it, and counts as right only
where all of a picture is: of several digits each one, in its row. `robustness.py` measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mnist_edge.contract import Labels, RawImages
from mnist_edge.predict import FileResult, Predictor, predict_files

Page = NDArray[np.float64]
"""(H, W) of ink, 0 to 1."""

_HEIGHT = 60
"""Pixels of a digit, where nothing else is said."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """How pictures of one kind are answered. Shares, 0 to 1.

    Attributes:
        kind: what is drawn, and how strongly.
        artifact: that answered.
        pictures: how many.
        right: where all is; a picture is `rejected` where something is, and nothing told wrongly.
    """

    kind: str
    artifact: str
    pictures: int
    right: float
    rejected: float
    wrong: float


@dataclass(frozen=True, eq=False)
class Drawer:
    """Draws digits of a data set at any size."""

    images: RawImages
    labels: Labels
    random: np.random.Generator

    def digit(self, height: float = _HEIGHT) -> tuple[str, Page]:
        """One that just fills its page."""
        index = int(self.random.integers(len(self.labels)))
        ink = self.images[index]
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        tight = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        scale = height / max(tight.size)
        size = (max(2, round(tight.width * scale)), max(2, round(tight.height * scale)))
        grey = np.asarray(tight.resize(size, Image.Resampling.BICUBIC)) / 255
        return str(self.labels[index]), np.clip((grey - 0.35) * 3, 0, 1) if scale > 1 else grey

    def row(self, count: int, *, gap: float = 0.3, height: float = _HEIGHT) -> tuple[str, Page]:
        """Several beside each other, on a page with a margin; a gap below 0 is an overlap."""
        drawn = [self.digit(height) for _ in range(count)]
        step = round(gap * height)
        width = sum(ink.shape[1] + step for _, ink in drawn) - step
        page = np.zeros((round(2 * height), round(width + height)))
        left = round(height / 2)
        for _, ink in drawn:
            top = (page.shape[0] - ink.shape[0]) // 2
            place = page[top : top + ink.shape[0], left : left + ink.shape[1]]
            np.maximum(place, ink, out=place)
            left += ink.shape[1] + step
        return "".join(label for label, _ in drawn), page

    def single(self, height: float = _HEIGHT) -> tuple[str, Page]:
        """One on a page of its own."""
        label, ink = self.digit(height)
        return label, np.pad(ink, round(height * 0.6))


Kind = Callable[[Drawer], tuple[str, Image.Image]]
"""What is to be read, with a slash between rows, and the picture."""


def paper(ink: Page, *, grey: int = 0) -> Image.Image:
    return Image.fromarray((255 - (255 - grey) * np.clip(ink, 0, 1)).astype(np.uint8))


def dot(drawer: Drawer, share: float) -> tuple[str, Image.Image]:
    label, page = drawer.single()
    picture = paper(page)
    size = share * _HEIGHT
    ImageDraw.Draw(picture).ellipse((8, 8, 8 + size, 8 + size), fill=0)
    return label, picture


def thin(drawer: Drawer, peak: float) -> tuple[str, Image.Image]:
    """Thinned strokes, saved at 28 pixels; `peak` of them is ink."""
    label, page = drawer.single(120)
    thinned = paper(page).filter(ImageFilter.MaxFilter(5))
    small = 255.0 - np.asarray(thinned.resize((28, 28), Image.Resampling.BOX))
    return label, paper(small / max(1.0, small.max()) * peak)


def dry(drawer: Drawer, least: float) -> tuple[str, Image.Image]:
    """A pen whose ink comes and goes, down to `least`."""
    label, page = drawer.single(120)
    y, x = np.mgrid[: page.shape[0], : page.shape[1]]
    strength = 0.5 + 0.6 * np.sin(x / 15 + drawer.random.uniform(0, 6)) * np.cos(y / 17)
    return label, paper(page * np.clip(strength, least, 1))


def rows(drawer: Drawer, count: int) -> tuple[str, Image.Image]:
    drawn = [drawer.row(int(drawer.random.integers(2, 7))) for _ in range(count)]
    widest = max(page.shape[1] for _, page in drawn)
    padded = [np.pad(page[24:-24], ((0, 0), (0, widest - page.shape[1]))) for _, page in drawn]
    return "/".join(label for label, _ in drawn), paper(np.concatenate(padded))


def small_beside(drawer: Drawer, share: float) -> tuple[str, Image.Image]:
    left, tall = drawer.row(2)
    right, low = drawer.row(2, height=share * _HEIGHT)
    lowered = np.zeros((tall.shape[0], low.shape[1]))
    lowered[tall.shape[0] - low.shape[0] :] = low
    return left + right, paper(np.concatenate([tall, lowered], axis=1))


def lined(drawer: Drawer, kind: str, grey: int, *, many: bool) -> tuple[str, Image.Image]:
    """In a frame, cells or squares, on ruled paper or on a line."""
    label, page = drawer.row(int(drawer.random.integers(3, 7))) if many else drawer.single()
    height, width = page.shape
    lines = Image.new("L", (width, height))
    pen = ImageDraw.Draw(lines)
    step = drawer.random.uniform(0.5, 1) * _HEIGHT
    if kind == "frame":
        pen.rectangle((10, 12, width - 11, height - 13), outline=255, width=2)
    if kind == "underline":
        below = int(np.flatnonzero(page.any(axis=1))[-1]) + int(drawer.random.integers(-3, 9))
        end = below + int(drawer.random.integers(-2, 3))
        pen.line((6, below, width - 7, end), fill=255, width=2)
    if kind in ("ruled", "squared"):
        for y in np.arange(drawer.random.uniform(0, step), height, step):
            pen.line((0, y, width, y), fill=255, width=2)
    if kind == "squared":
        for x in np.arange(drawer.random.uniform(0, step), width, step):
            pen.line((x, 0, x, height), fill=255, width=2)
    darker = np.minimum(
        np.asarray(paper(page)), np.asarray(paper(np.asarray(lines) / 255, grey=grey))
    )
    return label, Image.fromarray(darker)


def cells(drawer: Drawer, grey: int) -> tuple[str, Image.Image]:
    """Two rows of cells; a digit stands anywhere in its own, and may touch it."""
    side, labels = 80, []
    page = Image.new("L", (4 * side + 20, 2 * side + 20), 255)
    pen = ImageDraw.Draw(page)
    for index in range(8):
        top, left = 10 + index // 4 * side, 10 + index % 4 * side
        pen.rectangle((left, top, left + side, top + side), outline=grey, width=2)
    for index in range(8):
        label, ink = drawer.digit(drawer.random.uniform(40, 62))
        top = 10 + index // 4 * side + drawer.random.integers(1, side - ink.shape[0])
        left = 10 + index % 4 * side + drawer.random.integers(1, side - ink.shape[1])
        page.paste(0, (int(left), int(top)), Image.fromarray((255 * ink).astype(np.uint8)))
        labels.append(label)
    return "".join(labels[:4]) + "/" + "".join(labels[4:]), page


def touching(drawer: Drawer, pixels: int) -> tuple[str, Image.Image]:
    label, page = drawer.row(2, gap=-pixels / 28)
    return label, paper(page)


def far(drawer: Drawer, height: int) -> tuple[str, Image.Image]:
    label, ink = drawer.digit(height)
    photo = Image.new("L", (3000, 4000), 225)
    place = tuple(int(drawer.random.uniform(0.1, 0.9) * side) for side in photo.size)
    photo.paste(40, (place[0], place[1]), Image.fromarray((255 * ink).astype(np.uint8)))
    return label, photo


def strip(drawer: Drawer, share: float) -> tuple[str, Image.Image]:
    label, page = drawer.single()
    array = np.array(paper(page, grey=20))
    array[:, : round(share * array.shape[1])] = 40
    return label, Image.fromarray(array)


def colours(drawer: Drawer) -> tuple[str, Image.Image]:
    """Yellow, black and red ink on one page."""
    drawn = [drawer.row(1) for _ in range(3)]
    inks = np.array([(240, 200, 0), (0, 0, 0), (200, 20, 20)])
    parts = [255 - ink[:, :, None] * (255 - rgb) for (_, ink), rgb in zip(drawn, inks, strict=True)]
    page = np.concatenate(parts, axis=1).astype(np.uint8)
    return "".join(label for label, _ in drawn), Image.fromarray(page)


def tiny(drawer: Drawer, height: int) -> tuple[str, Image.Image]:
    label, page = drawer.row(4, height=4 * height)
    size = (page.shape[1] // 4, page.shape[0] // 4)
    return label, paper(page).resize(size, Image.Resampling.BOX)


def kinds() -> Iterator[tuple[str, bool, Kind]]:
    """Name, whether several digits are on a picture, and what draws one."""
    yield "one digit and nothing else", False, lambda d: (lambda p: (p[0], paper(p[1])))(d.single())
    for share in (0.04, 0.08, 0.14):
        yield f"a dot of {share:.0%} of the digit's height", False, partial(dot, share=share)
    for peak in (0.4, 1.0):
        yield f"thin strokes on 28 pixels, {peak:.0%} ink", False, partial(thin, peak=peak)
    for least in (0.0, 0.15):
        yield f"a dry pen, {least:.0%} where it is driest", False, partial(dry, least=least)
    yield "one row", True, partial(rows, count=1)
    yield "three rows", True, partial(rows, count=3)
    for share in (0.35, 0.5):
        yield f"digits of {share:.0%} beside tall ones", True, partial(small_beside, share=share)
    for kind in ("frame", "underline", "ruled", "squared"):
        for grey in (0, 110):
            for many in (False, True):
                name = f"{kind}, grey {grey}, {'a row' if many else 'one digit'}"
                yield name, many, partial(lined, kind=kind, grey=grey, many=many)
    for grey in (0, 110):
        yield f"two rows of cells, grey {grey}", True, partial(cells, grey=grey)
    for pixels in (2, 4):
        yield (
            f"a pair that overlaps by {pixels} of 28 pixels",
            True,
            partial(touching, pixels=pixels),
        )
    yield "60 pixels high on 3000x4000", False, partial(far, height=60)
    for share in (0.02, 0.06):
        yield f"a dark strip of {share:.0%} at the edge", False, partial(strip, share=share)
    yield "inks of three colours", True, colours
    yield "a row 12 pixels high", True, partial(tiny, height=12)


def answers(
    predictor: Predictor, artifact: str, images: RawImages, labels: Labels, *, count: int, seed: int
) -> Iterator[Answers]:
    """Of each kind so many pictures, answered."""
    for name, many, kind in kinds():
        drawer = Drawer(images, labels, np.random.default_rng(seed))
        drawn = [kind(drawer) for _ in range(count // 10 if "3000" in name else count)]
        results = predict_files(predictor, [picture for _, picture in drawn], many=many)
        verdicts = [
            verdict(label, result) for (label, _), result in zip(drawn, results, strict=True)
        ]
        right, rejected, wrong = (
            verdicts.count(v) / len(drawn) for v in ("right", "none", "wrong")
        )
        yield Answers(
            kind=name,
            artifact=artifact,
            pictures=len(drawn),
            right=right,
            rejected=rejected,
            wrong=wrong,
        )


def verdict(label: str, result: FileResult) -> str:
    """Of one picture: `right`, `wrong`, or `none` where nothing wrong is said, but not all."""
    said = ""
    for index, reading in enumerate(result.readings):
        if index and reading.picture.row != result.readings[index - 1].picture.row:
            said += "/"
        said += "?" if reading.prediction.digit is None else str(reading.prediction.digit)
    if said == label:
        return "right"
    return "none" if not said or "?" in said else "wrong"


def table(rows: Sequence[Answers]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and lines: one a kind."""
    artifacts = list(dict.fromkeys(row.artifact for row in rows))
    lines = []
    for kind in dict.fromkeys(row.kind for row in rows):
        mine = {row.artifact: row for row in rows if row.kind == kind}
        shares = [
            f"{share:.1%}"
            for name in artifacts
            for share in (mine[name].right, mine[name].rejected, mine[name].wrong)
        ]
        lines.append((kind, str(mine[artifacts[0]].pictures), *shares))
    head = [f"{name}: {what}" for name in artifacts for what in ("right", "rejected", "wrong")]
    return ("kind", "pictures", *head), lines
