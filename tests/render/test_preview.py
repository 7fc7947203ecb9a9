"""`predict --show` and `--save-input`: what the net was fed, for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import draw, encode
from PIL import Image

from mnist_edge import cli
from mnist_edge.contract import Images, Logits
from mnist_edge.picture import Picture, load_picture
from mnist_edge.predict import Predictor
from mnist_edge.recipes.terms import Device
from mnist_edge.render.preview import preview

pytestmark = pytest.mark.edge


class Sevens:
    """A backend that calls everything a 7."""

    name = "sevens"
    version = "1"
    device: Device = "cpu"

    def run(self, images: Images) -> Logits:
        return np.tile(np.eye(10, dtype=np.float32)[7] * 9, (len(images), 1))

    def close(self) -> None:
        pass


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Sevens()))
    (tmp_path / "seven.png").write_bytes(encode(draw(7)))
    return tmp_path / "seven.png"


def cross() -> Picture:
    """Ink in the upper left pixel and the one at its lower right."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, 0] = pixels[1, 1] = 255
    return Picture(pixels=pixels, steps=("drawn",), blank=False, boxes=())


def test_a_preview_has_a_character_for_two_pixels_and_tells_the_steps() -> None:
    lines = preview(cross(), encoding="utf-8")
    assert [len(line) for line in lines[:14]] == [28] * 14
    assert lines[0] == "▀▄" + " " * 26
    assert lines[14:] == ["- drawn"]


def test_a_preview_is_plain_where_the_terminal_knows_no_blocks() -> None:
    lines = preview(cross(), encoding="ascii")
    assert lines[0] == "::" + " " * 26


def test_a_preview_of_an_mnist_digit_says_that_nothing_was_done() -> None:
    untouched = load_picture(Image.fromarray(load_picture(draw(3)).pixels))
    assert preview(untouched, encoding="utf-8")[-1] == "- taken as it is"


def test_show_prints_what_was_fed(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(picture), "--show"]) == 0
    answer, *rest = capsys.readouterr().out.splitlines()
    assert answer.startswith(f"{picture}: 7")
    assert rest == preview(load_picture(picture), encoding="utf-8")


def test_show_leaves_json_alone(picture: Path) -> None:
    assert cli.main(["predict", str(picture), "--show", "--json"]) == 2


def test_save_input_writes_one_png_a_digit(picture: Path) -> None:
    folder = picture.parent / "fed"
    again = picture.parent / "again" / "seven.png"
    again.parent.mkdir()
    again.write_bytes(encode(draw(2)))
    assert cli.main(["predict", str(picture), str(again), "--save-input", str(folder)]) == 0
    names = ["00001-seven.png", "00002-seven.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    for name, source in zip(names, (picture, again), strict=True):
        saved = np.asarray(Image.open(folder / name))
        assert np.array_equal(saved, load_picture(source).pixels)
