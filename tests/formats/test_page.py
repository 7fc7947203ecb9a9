"""The page of the shipped net in a real Chromium, used as a person would."""

from __future__ import annotations

import base64
import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

from drawn import STROKES, draw
from PIL import Image

from mnist_edge.predict import Predictor

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
DEMO = (Path(__file__).parents[2] / "docs" / "demo.html").as_uri()
PAD = 560

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # As root, which a container mostly is, its sandbox does not start.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def requests() -> list[str]:
    return []


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def opened(browser: Any, requests: list[str], errors: list[str]) -> Iterator[Callable[..., Any]]:
    """Opens the page in a window of its own, and waits until it is ready."""
    contexts = []

    def open_page(before: str = "", **settings: Any) -> Any:
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        if before:
            page.add_init_script(before)
        page.goto(DEMO)
        until(page, "document.getElementById('state').textContent !== 'Starting'")
        return page

    yield open_page
    for context in contexts:
        context.close()


def until(page: Any, condition: str) -> None:
    # playwright's own way to wait evaluates text in the page, which its policy forbids.
    for _ in range(600):
        if page.evaluate(condition):
            return
        time.sleep(0.05)
    raise AssertionError(f"never: {condition}")


def result(page: Any, act: Callable[[], None]) -> Any:
    """What the page says after an act."""
    page.evaluate("window.lastResult = null")
    act()
    until(page, "window.lastResult")
    time.sleep(0.1)  # a stroke is read once a frame, its end in the next
    return page.evaluate("window.lastResult")


def points_of(digit: int) -> list[list[tuple[float, float]]]:
    """Strokes in pixels of the pad."""
    return [
        [(PAD * (0.25 + 0.5 * x), PAD * (0.15 + 0.7 * y)) for x, y in stroke]
        for stroke in STROKES[digit]
    ]


def draw_with_mouse(page: Any, digit: int) -> None:
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / PAD
    for stroke in points_of(digit):
        places = [(box["x"] + scale * x, box["y"] + scale * y) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=3)
        page.mouse.up()


def draw_by_touch(page: Any, digit: int) -> None:
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / PAD
    session = page.context.new_cdp_session(page)
    for stroke in points_of(digit):
        for number, (x, y) in enumerate(stroke):
            session.send(
                "Input.dispatchTouchEvent",
                {
                    "type": "touchMove" if number else "touchStart",
                    "touchPoints": [{"x": box["x"] + scale * x, "y": box["y"] + scale * y}],
                },
            )
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def choose(page: Any, name: str, mime: str, data: bytes) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": mime, "buffer": data})


def give(page: Any, event: str, name: str, mime: str, data: bytes) -> None:
    """Paste or drop a file."""
    page.evaluate(
        """([event, name, mime, text]) => {
            const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, {type: mime}));
            const made = event === "paste"
                ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
                : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
            document.body.dispatchEvent(made);
        }""",
        [event, name, mime, base64.b64encode(data).decode()],
    )


# How wide and high a PNG of one pixel says it is, and one of none.
ONE, ZERO = b"IHDR\0\0\0\1\0\0\0\1", b"IHDR" + bytes(8)


def test_it_starts_tests_itself_and_asks_for_nothing_but_itself(
    opened: Callable[..., Any], requests: list[str], errors: list[str]
) -> None:
    page = opened()
    until(page, "window.pageResult")
    found = page.evaluate("window.pageResult")
    assert found["test"] == {"worst": 0, "count": 10, "passed": True}
    assert 1 < found["microseconds"] < 100_000
    assert "self-test over 10 digits passed" in page.inner_text("#state")
    assert requests == [DEMO]
    assert errors == []


def test_an_empty_canvas_gets_no_answer(opened: Callable[..., Any]) -> None:
    page = opened()
    assert page.evaluate("window.lastResult.answer") is None
    assert page.inner_text("#answer").strip() == "Nothing drawn yet."


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_drawn_with_the_mouse_is_read(opened: Callable[..., Any], digit: int) -> None:
    page = opened()
    assert result(page, lambda: draw_with_mouse(page, digit))["answer"] == digit
    assert page.inner_text("#answer b") == str(digit)
    page.click("#clear")
    assert page.inner_text("#answer").strip() == "Nothing drawn yet."


def test_a_finger_draws_and_does_not_scroll(opened: Callable[..., Any]) -> None:
    page = opened(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True)
    assert result(page, lambda: draw_by_touch(page, 7))["answer"] == 7
    assert page.evaluate("scrollY") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_keyboard_alone_can_draw(opened: Callable[..., Any]) -> None:
    page = opened()

    def act() -> None:
        page.focus("#pad")
        page.keyboard.press("Space")
        for _ in range(18):
            page.keyboard.press("ArrowDown")

    assert result(page, act)["answer"] == 1
    page.keyboard.press("Delete")
    assert page.inner_text("#answer").strip() == "Nothing drawn yet."


@pytest.mark.parametrize("way", ["file", "paste", "drop"])
def test_a_picture_is_read_as_predict_reads_it(opened: Callable[..., Any], way: str) -> None:
    page = opened()
    with Predictor.load() as predictor:
        for digit in range(10):
            image = draw(digit, size=(420, 300), ink=60, paper=230)
            data = png(image)

            def act(data: bytes = data) -> None:
                if way == "file":
                    choose(page, "digit.png", "image/png", data)
                else:
                    give(page, way, "digit.png", "image/png", data)

            assert result(page, act)["answer"] == predictor(data).digit == digit


@pytest.mark.parametrize(
    ("name", "mime", "data", "says"),
    [
        ("notes.png", "image/png", b"no picture at all", "no picture that the browser can read"),
        ("clip.mp4", "video/mp4", b"\0\0\0\x18ftypmp42" + bytes(64), "no picture"),
        ("empty.png", "image/png", b"", "no picture"),
        ("none.png", "image/png", png(Image.new("L", (1, 1))).replace(ONE, ZERO), "no picture"),
        ("dot.png", "image/png", png(Image.new("L", (1, 1))), "too small"),
        ("huge.png", "image/png", png(Image.new("1", (9000, 9000))), "80 million pixels"),
    ],
    ids=["text", "video", "empty", "no pixels", "one pixel", "81 megapixels"],
)
def test_a_file_that_is_no_digit_is_told_so(
    opened: Callable[..., Any], errors: list[str], name: str, mime: str, data: bytes, says: str
) -> None:
    page = opened()
    found = result(page, lambda: choose(page, name, mime, data))
    assert says in found["error"]
    assert says in page.inner_text("#answer")
    assert errors == []
    assert result(page, lambda: draw_with_mouse(page, 1))["answer"] is not None


def test_what_is_like_no_digit_is_rejected(opened: Callable[..., Any]) -> None:
    page = opened()
    rng = np.random.default_rng(2)
    scribble = Image.new("L", (200, 200), 255)
    cross = np.array(scribble)
    cross[90:110, 20:180] = cross[20:180, 90:110] = 0
    found = result(page, lambda: choose(page, "plus.png", "image/png", png(Image.fromarray(cross))))
    assert found["answer"] is None
    assert "no digit" in page.inner_text("#answer")
    noise = Image.fromarray(rng.integers(0, 256, (200, 200), dtype=np.uint8))
    assert result(page, lambda: choose(page, "n.png", "image/png", png(noise)))["answer"] is None


@pytest.mark.parametrize(
    "lacking",
    [
        "delete window.WebAssembly",
        "delete window.DecompressionStream",
        # As a browser without SIMD does with code that has it.
        "WebAssembly.instantiate = async () => { throw new WebAssembly.CompileError('SIMD'); }",
    ],
    ids=["WebAssembly", "DecompressionStream", "SIMD"],
)
def test_a_browser_that_cannot_is_told_so(opened: Callable[..., Any], lacking: str) -> None:
    page = opened(before=lacking)
    assert "cannot run the page, which needs WebAssembly" in page.inner_text("#state")


def test_everything_has_a_name_and_can_be_reached(opened: Callable[..., Any]) -> None:
    page = opened()
    unnamed = page.evaluate(
        """[...document.querySelectorAll("canvas,button,input,table,section,output")].filter(one =>
            !one.ariaLabel && !one.textContent.trim() && !one.labels?.length && !one.id
        ).length"""
    )
    assert unnamed == 0
    seen = set()
    for _ in range(6):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id"))
    assert {"pad", "clear", "file"} <= seen
