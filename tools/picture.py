"""Photograph docs/demo.html as it reads a digit that is drawn on it: docs/demo.png.

python tools/picture.py    needs playwright and an installed Chromium

The picture carries the digest of the page, so that a test can tell whether it is of today's.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "docs" / "demo.html", ROOT / "docs" / "demo.png"
DIGEST = "page_sha256"
# A seven in shares of the drawing area: its bar, then its stem.
STROKES = ((0.28, 0.25), (0.72, 0.25), (0.62, 0.5), (0.5, 0.8))
SIZE = {"width": 900, "height": 580}


def main() -> None:
    """Draw, wait for the answer, photograph."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(PAGE.as_uri())
        page.wait_for_timeout(1500)
        box = page.locator("#pad").bounding_box()
        assert box
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKES]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=8)
        page.mouse.up()
        page.wait_for_timeout(1000)
        assert page.locator("#answer").inner_text().strip().startswith("7")
        shot = page.screenshot()
        browser.close()
    save(shot, hashlib.sha256(PAGE.read_bytes()).hexdigest())


def save(shot: bytes, digest: str) -> None:
    """Keep a screenshot in few bytes, with the digest of what it shows."""
    said = PngInfo()
    said.add_text(DIGEST, digest)
    few = Image.open(io.BytesIO(shot)).convert("RGB").quantize(64)
    few.save(PICTURE, "PNG", optimize=True, pnginfo=said)


if __name__ == "__main__":
    main()
