"""The page of the shipped net in Chromium, beside `predict`: photographs and drawings.

    python benchmarks/browser.py

Each picture is given to docs/demo.html, opened from the disk, as a PNG file, and to `predict` with
the int8 net of the same bundle: every fourth photograph of `photos/` in the data folder, and
drawings of every kind that `kinds.py` has. Compared are the digit, or that there is none, and the
28x28 that the net was shown. Needs playwright and a Chromium. Takes about two minutes.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from kinds import Drawer, kinds
from PIL import Image
from runs import RESULTS

from mnist_edge.bundle.folder import SHIPPED_BUNDLES
from mnist_edge.bundle.storage import atomic_write
from mnist_edge.data.mnist import DATA_VARIABLE, find_mnist, read_mnist
from mnist_edge.errors import MnistEdgeError
from mnist_edge.predict import Predictor, predict_files
from mnist_edge.render.table import Table, markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "demo.html"
SHIPPED = SHIPPED_BUNDLES[-1]
EVERY, DRAWN, SEED = 4, 20, 5
GIVE = """async text => {
    window.lastResult = null;
    await open(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], "picture.png"));
    const {digit, answer, error} = window.lastResult;
    return {digit: digit && [...digit], answer, error};
}"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    rows: dict[str, dict[str, int]] = {}
    with sync_playwright() as started, Predictor.load(SHIPPED, artifact="onnx-int8") as predictor:
        chromium = shutil.which("chromium")
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(PAGE.as_uri())
        while not page.evaluate("window.pageResult"):
            page.wait_for_timeout(100)
        for kind, data in pictures():
            said = page.evaluate(GIVE, base64.b64encode(data).decode())
            same = compare(said, predictor, data)
            row = rows.setdefault(kind, {"pictures": 0, "same answer": 0, "same bytes": 0})
            row["pictures"] += 1
            row["same answer"] += same[0]
            row["same bytes"] += same[1]
        version = browser.version
        browser.close()
    report = {"chromium": version, "page_bytes": PAGE.stat().st_size, "rows": rows}
    atomic_write(RESULTS / "browser.json", (json.dumps(report, indent=1) + "\n").encode())
    text = page_of(report)
    atomic_write(RESULTS / "browser.md", text.encode())
    print(text)


def pictures() -> Iterator[tuple[str, bytes]]:
    """What each is, and the bytes of its PNG file."""
    data = Path(os.environ[DATA_VARIABLE])
    for kind in ("digits", "symbols"):
        for file in sorted((data / "photos" / kind).rglob("*.png"))[::EVERY]:
            yield f"photographed {kind}", file.read_bytes()
    folder = find_mnist(data)
    assert folder is not None
    mnist = read_mnist(folder)
    for name, _, draw in kinds():
        drawer = Drawer(mnist.test_images, mnist.test_labels, np.random.default_rng(SEED))
        for _ in range(DRAWN // 10 if "3000" in name else DRAWN):
            yield "drawings", png(draw(drawer)[1])


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def compare(said: dict[str, Any], predictor: Predictor, data: bytes) -> tuple[bool, bool]:
    """Whether the page answers as `predict` does, and whether its net was shown the same."""
    (result,) = predict_files(predictor, [data])
    if isinstance(result.error, MnistEdgeError):
        return bool(said["error"]), bool(said["error"])
    (reading,) = result.readings
    shown = reading.picture.pixels
    return (
        said["answer"] == reading.prediction.digit,
        said["digit"]
        == (np.zeros_like(shown) if reading.picture.blank else shown).ravel().tolist(),
    )


def page_of(report: dict[str, Any]) -> str:
    rows = report["rows"]
    total = {name: sum(row[name] for row in rows.values()) for name in next(iter(rows.values()))}
    table = Table(
        headers=("what", *total),
        rows=tuple(
            (kind, *(f"{number:,}" for number in row.values()))
            for kind, row in [*rows.items(), ("all", total)]
        ),
    )
    return (
        f"# The page of the shipped net beside `predict`\n\n"
        f"docs/demo.html, {report['page_bytes']:,} bytes, opened from the disk in Chromium "
        f"{report['chromium']}; `predict` with `onnx-int8`. The same answer is the same digit, or "
        f"no digit; the same bytes are those that the net was shown.\n\n{markdown(table)}"
    )


if __name__ == "__main__":
    main()
