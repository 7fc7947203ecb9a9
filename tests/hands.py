"""Letters and digits that a test draws, and folders of them: a folder a class.

Not a test module. Letters come from matplotlib's fonts; the odd hand is our own strokes, changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from drawn import STROKES
from PIL import Image, ImageDraw, ImageFont

_FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSans-Oblique", "cmr10", "STIXGeneral")


def letter(name: str, seed: int) -> Image.Image:
    """A letter, black on white, of some font, size and slope; no two sizes are alike."""
    import matplotlib as mpl

    rng = random.Random(f"{name} {seed}")
    side = rng.randint(60, 160)
    folder = Path(mpl.get_data_path(), "fonts", "ttf")
    font = ImageFont.truetype(str(folder / f"{rng.choice(_FONTS)}.ttf"), side)
    page = Image.new("L", (2 * side, 2 * side), 255)
    ImageDraw.Draw(page).text((0.6 * side, 0.3 * side), name, font=font, fill=rng.randint(0, 80))
    return page.rotate(rng.uniform(-10, 10), fillcolor=255)


def odd_digit(name: str, seed: int) -> Image.Image:
    """A digit of one odd hand: it writes the digits lying on their side, each a little apart."""
    rng = random.Random(f"{name} {seed}")
    side, pen = rng.randint(120, 260), rng.randint(8, 16)
    page = Image.new("L", (side, side), 255)
    pencil = ImageDraw.Draw(page)
    wide, slant = rng.uniform(0.45, 0.6), rng.uniform(-0.15, 0.15)
    for stroke in STROKES[int(name)]:
        points = [
            (side * (0.2 + wide * (x + slant * (1 - y))), side * (0.18 + 0.64 * y))
            for x, y in stroke
        ]
        pencil.line(points, fill=20, width=pen, joint="curve")
    return page.rotate(90 + rng.uniform(-6, 6), fillcolor=255)


def write_folder(
    folder: Path,
    names: Iterable[str],
    draw: Callable[[str, int], Image.Image],
    seeds: Iterable[int],
) -> Path:
    """A folder for each name, with a picture for each seed."""
    seeds = list(seeds)
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            draw(name, seed).save(folder / name / f"{seed}.png")
    return folder
