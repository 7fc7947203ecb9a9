"""The preprocessing contract, on drawn digits."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from drawn import draw, encode, likeness
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from mnist_edge.data.mnist import read_mnist
from mnist_edge.errors import BadInput
from mnist_edge.picture import Picture, load_picture, split_digits
from mnist_edge.picture.decode import read_pages
from mnist_edge.picture.digit import BOX_SIDE, STROKE, is_mnist_digit, normalise, stroke_width

pytestmark = pytest.mark.edge

Pixels = NDArray[np.uint8]


def pixels(source: Image.Image | bytes | Path | NDArray[np.generic]) -> Pixels:
    picture = load_picture(source)
    assert not picture.blank
    return picture.pixels


@cache
def plain(digit: int) -> Pixels:
    return pixels(draw(digit))


def on_nothing(digit: int, ink: int) -> Image.Image:
    opacity = draw(digit, ink=255, paper=0)
    image = Image.new("RGBA", opacity.size, (ink, ink, ink, 0))
    image.putalpha(opacity)
    return image


def lit(image: Image.Image, dark: float, bright: float) -> Image.Image:
    """The picture under light that grows from left to right."""
    light = np.linspace(dark, bright, image.width)
    return Image.fromarray((np.asarray(image) * light).astype(np.uint8))


def noisy(image: Image.Image, deviation: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, deviation, (image.height, image.width))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def ruled(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[20::40] = np.minimum(array[20::40], 190)
    return Image.fromarray(array)


def beside_a_table(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[:, : image.width // 10] = 60
    return Image.fromarray(array)


@pytest.mark.parametrize("digit", range(10))
def test_the_result_has_the_size_and_place_of_mnist(digit: int) -> None:
    result = pixels(draw(digit, size=(300, 500), box=(0.5, 0.6, 0.8, 0.9)))
    rows, columns = np.flatnonzero(result.any(axis=1)), np.flatnonzero(result.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == BOX_SIDE
    assert result.max() == 255
    places = np.arange(28)
    total = result.sum(dtype=np.int64)
    assert abs(result.sum(axis=0, dtype=np.int64) @ places / total - 14) <= 0.51
    assert abs(result.sum(axis=1, dtype=np.int64) @ places / total - 14) <= 0.51


VARIANTS: dict[str, Callable[[int], Image.Image]] = {
    "white on black": lambda digit: draw(digit, ink=255, paper=0),
    "thin pen": lambda digit: draw(digit, pen=3),
    "one pixel on a large canvas": lambda digit: draw(digit, size=(1000, 1000), pen=1),
    "felt tip": lambda digit: draw(digit, pen=36),
    "in a corner": lambda digit: draw(
        digit, size=(1000, 1000), pen=9, box=(0.02, 0.03, 0.27, 0.32)
    ),
    "black on nothing": lambda digit: on_nothing(digit, 0),
    "white on nothing": lambda digit: on_nothing(digit, 255),
    "pencil": lambda digit: draw(digit, ink=170, paper=225),
    "under a lamp": lambda digit: lit(draw(digit, ink=30), 0.35, 1.0),
    "noise": lambda digit: noisy(draw(digit, ink=30, paper=220), 20),
    "blurred": lambda digit: draw(digit).filter(ImageFilter.GaussianBlur(4)),
    "ruled paper": lambda digit: ruled(draw(digit, ink=40)),
    "beside a table": lambda digit: beside_a_table(draw(digit)),
    "red on white": lambda digit: ImageOps.colorize(draw(digit), "#dd2020", "#ffffff"),
    "yellow on white": lambda digit: ImageOps.colorize(draw(digit), "#faf000", "#ffffff"),
    "red on green of one luma": lambda digit: ImageOps.colorize(draw(digit), "#c82828", "#287828"),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("digit", range(10))
def test_the_way_it_is_drawn_does_not_matter(digit: int, variant: str) -> None:
    drawn = pixels(VARIANTS[variant](digit))
    alike = [likeness(drawn, plain(other)) for other in range(10)]
    assert int(np.argmax(alike)) == digit
    assert alike[digit] > 0.6


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV"])
def test_the_mode_does_not_matter(mode: str) -> None:
    image = draw(5).convert("RGB").convert(mode)
    assert likeness(pixels(image), pixels(draw(5))) > 0.98


@pytest.mark.parametrize(("dtype", "top"), [(np.uint16, 65535), (np.uint16, 900), (np.int32, 3000)])
def test_deep_pictures_are_scaled_not_clipped(dtype: type[np.generic], top: int) -> None:
    deep = (np.asarray(draw(5)).astype(np.float64) / 255 * top).astype(dtype)
    # Scaled to 8 bits, the edges are rounded otherwise than in the original.
    assert likeness(pixels(Image.fromarray(deep)), pixels(draw(5))) > 0.99


def test_float_tiff_is_scaled() -> None:
    floats = Image.fromarray(np.asarray(draw(5)).astype(np.float32) * 3 - 100)
    assert np.array_equal(pixels(encode(floats, "TIFF")), pixels(draw(5)))


FORMATS = {
    "PNG": 1.0, "BMP": 1.0, "GIF": 1.0, "TIFF": 1.0, "PPM": 1.0, "JPEG": 0.98, "WEBP": 0.98,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_the_file_format_does_not_matter(form: str) -> None:
    assert likeness(pixels(encode(draw(2), form)), pixels(draw(2))) >= FORMATS[form] - 1e-9


def test_a_phone_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    sideways = draw(2).rotate(90, expand=True)
    data = encode(sideways, "JPEG", exif=exif, quality=95)
    assert likeness(pixels(data), pixels(draw(2))) > 0.98


def test_of_an_animation_the_first_frame_is_taken_and_that_is_said() -> None:
    data = encode(draw(2), "GIF", save_all=True, append_images=[draw(7)])
    picture = load_picture(data)
    assert np.array_equal(picture.pixels, pixels(draw(2)))
    assert "first frame taken" in picture.steps


def test_thin_and_thick_strokes_come_near_the_width_of_mnist() -> None:
    for pen in (3, 10, 20, 36):
        fine = np.asarray(Image.fromarray(pixels(draw(3, pen=pen))).resize((112, 112)))
        assert abs(stroke_width(fine) / 4 - STROKE) < 0.8


def test_stroke_width_of_a_bar_is_its_width() -> None:
    bar = np.zeros((200, 200), np.uint8)
    bar[10:190, 90:102] = 255
    assert stroke_width(bar) == pytest.approx(12, rel=0.08)


def test_specks_are_dropped_and_the_bar_of_a_five_is_kept() -> None:
    with_bar = np.full((100, 100), 255, np.uint8)
    with_bar[20:25, 52:75] = 0  # the bar, apart from the body
    with_bar[30:85, 40:46] = 0
    with_bar[80:86, 40:70] = 0
    specks = with_bar.copy()
    specks[5:7, 5:7] = specks[95:97, 90:92] = 0
    clean, dirty = load_picture(with_bar), load_picture(specks)
    assert np.array_equal(clean.pixels, dirty.pixels)
    assert "2 specks dropped" in dirty.steps
    without_bar = with_bar.copy()
    without_bar[20:25] = 255
    assert likeness(clean.pixels, pixels(without_bar)) < 0.9


def test_what_was_normalised_is_not_changed_again() -> None:
    for digit in range(10):
        once = pixels(draw(digit))
        assert np.array_equal(pixels(once), once)
        assert load_picture(once).steps == ()


@pytest.mark.real_data
def test_every_mnist_digit_passes_through_untouched(mnist_dir: Path) -> None:
    digits = read_mnist(mnist_dir).test_images
    for digit in digits:
        picture = load_picture(encode(Image.fromarray(digit)))
        assert picture.steps == ()
        assert np.array_equal(picture.pixels, digit)


@pytest.mark.real_data
def test_an_enlarged_inverted_mnist_digit_comes_back(mnist_dir: Path) -> None:
    alike = []
    for digit in read_mnist(mnist_dir).test_images[:200]:
        large = Image.fromarray(255 - digit).resize((280, 280), Image.Resampling.BILINEAR)
        alike.append(likeness(pixels(large), digit))
    # Stroke width is brought to MNIST's middle, so the boldest and finest digits change most.
    assert np.median(alike) > 0.93


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (100, 100), 255),
        Image.new("L", (100, 100), 0),
        Image.new("RGBA", (100, 100), (0, 0, 0, 0)),
        Image.fromarray(np.linspace(120, 240, 10_000).reshape(100, 100).astype(np.uint8)),
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)),
        noisy(Image.new("L", (100, 100), 200), 5),
        noisy(Image.new("L", (100, 100), 128), 40),
    ],
    ids=["white", "black", "transparent", "gradient", "uniform noise", "grain", "gaussian noise"],
)
def test_a_picture_without_ink_is_blank(image: Image.Image) -> None:
    picture = load_picture(image)
    assert picture.blank
    assert picture.boxes == ()
    assert not picture.pixels.any()


def two_digits() -> Image.Image:
    page = Image.new("L", (600, 300), 255)
    page.paste(draw(4, size=(250, 250)), (330, 20))
    page.paste(draw(7, size=(250, 250)), (20, 20))
    return page


def test_several_digits_are_split_from_left_to_right() -> None:
    first, second = split_digits(two_digits())
    assert likeness(first.pixels, pixels(draw(7))) > 0.9
    assert likeness(second.pixels, pixels(draw(4))) > 0.9


def test_boxes_are_in_pixels_of_the_source() -> None:
    page = two_digits()
    (small,) = split_digits(page)[0].boxes
    (large,) = split_digits(page.resize((3000, 1500)))[0].boxes
    assert 20 < small.left < small.right < 270
    assert large.left == pytest.approx(5 * small.left, abs=16)
    assert large.bottom == pytest.approx(5 * small.bottom, abs=16)


def test_of_several_digits_the_largest_is_taken_and_that_is_said() -> None:
    picture = load_picture(two_digits())
    assert len(picture.boxes) == 2
    assert "the largest of 2 digits taken" in picture.steps


@pytest.mark.parametrize("digit", range(10))
def test_a_single_digit_is_not_split(digit: int) -> None:
    assert len(split_digits(draw(digit))) == 1


def test_a_blank_page_has_no_digits_and_says_so() -> None:
    (picture,) = split_digits(Image.new("L", (50, 50), 255))
    assert picture.blank


@pytest.mark.parametrize("convert", [np.float32, np.float64, np.float16])
def test_float_arrays_are_read_from_zero_to_one(convert: type[np.floating]) -> None:
    drawing = np.asarray(draw(6))
    assert np.array_equal(pixels((drawing / 255).astype(convert)), pixels(drawing))


def test_bool_arrays_may_be_of_either_polarity() -> None:
    ink = np.asarray(draw(6)) < 128
    assert np.array_equal(pixels(ink), pixels(~ink))


def test_colour_arrays_are_pictures() -> None:
    assert np.array_equal(pixels(np.asarray(draw(6).convert("RGBA"))), pixels(draw(6)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((28, 28), np.int64),
        np.zeros((28, 28), np.uint16),
        np.full((28, 28), 255.0),
        np.full((28, 28), -0.1),
        np.full((28, 28), np.nan),
        np.zeros((28, 28), np.complex64),
        np.zeros(784, np.uint8),
        np.zeros((2, 28, 28), np.uint8),
        np.zeros((0, 28), np.uint8),
    ],
)
def test_an_array_of_unknown_meaning_is_refused(array: NDArray[np.generic]) -> None:
    with pytest.raises(BadInput):
        load_picture(array)


def test_the_source_is_not_changed() -> None:
    image = np.array(draw(8))
    before = image.copy()
    load_picture(image)
    assert np.array_equal(image, before)


def test_the_input_of_the_net_is_the_picture_in_zero_to_one() -> None:
    picture: Picture = load_picture(draw(8))
    assert picture.images.shape == (1, 1, 28, 28)
    assert picture.images.dtype == np.float32
    assert np.array_equal(picture.images[0, 0] * 255, picture.pixels)


def test_a_stream_reads_as_its_bytes(tmp_path: Path) -> None:
    data = encode(draw(8))
    (tmp_path / "8.png").write_bytes(data)
    for source in (data, io.BytesIO(data), tmp_path / "8.png", str(tmp_path / "8.png")):
        assert np.array_equal(np.asarray(next(read_pages(source))), np.asarray(draw(8)))


def test_a_drawing_of_28_pixels_off_centre_is_no_mnist_digit() -> None:
    digit = pixels(draw(3))
    assert is_mnist_digit(digit)
    assert not is_mnist_digit(np.roll(digit, 3, axis=1))
    assert not is_mnist_digit(255 - digit)


def test_normalising_a_single_dot_does_not_fail() -> None:
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 255
    assert normalise(dot, []).max() == 255
