from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="renders digits with matplotlib's fonts")

from mnist_edge.data import fonts as rendered
from mnist_edge.data.mnist import DataSet
from mnist_edge.errors import MissingDependency

pytestmark = pytest.mark.edge


def test_a_rendered_set_looks_like_mnist_to_a_program(digits: DataSet) -> None:
    assert digits.name == "rendered"
    assert digits.train_images.shape == (600, 28, 28)
    assert digits.train_images.dtype == np.uint8
    assert digits.test_labels.shape == (200,)
    assert digits.test_labels.dtype == np.int64


def test_each_class_comes_equally_often_and_in_no_order(digits: DataSet) -> None:
    assert np.bincount(digits.train_labels).tolist() == [60] * 10
    assert digits.train_labels[:20].tolist() != (np.arange(20) % 10).tolist()


def test_the_same_seed_gives_the_same_digits_in_another_process(digits: DataSet) -> None:
    script = "from mnist_edge.data.fonts import rendered_data as r; print(r(600, 200).sha256)"
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert again.stdout.strip() == digits.sha256, again.stderr


def test_another_seed_gives_other_digits() -> None:
    first, second = (rendered.rendered_data(20, 1, seed=seed).train_images for seed in (0, 1))
    assert not {image.tobytes() for image in first} & {image.tobytes() for image in second}


def test_no_test_digit_is_a_training_digit(digits: DataSet) -> None:
    train = {image.tobytes() for image in digits.train_images}
    assert len(train) == 600
    assert not train & {image.tobytes() for image in digits.test_images}


def test_digits_are_framed_as_mnist_frames_them(digits: DataSet) -> None:
    images = digits.train_images.astype(np.float64)
    assert (images.max((1, 2)) == 255).all()
    for axis in (1, 2):
        mass = images.sum(3 - axis)
        centre = mass @ np.arange(28) / mass.sum(1)
        # Half a pixel is the whole-pixel shift; the rest, a box that would leave the picture.
        assert np.quantile(np.abs(centre - 14), 0.98) <= 0.5
    spans = [[np.ptp(np.flatnonzero(image.any(axis))) + 1 for axis in (0, 1)] for image in images]
    assert (np.max(spans, axis=1) <= 20).all()
    assert np.median(np.max(spans, axis=1)) == 20


def test_strokes_are_as_thick_and_as_various_as_in_mnist(digits: DataSet) -> None:
    # Ink as a share of the 20x20 box; MNIST's training set has mean 0.26, deviation 0.09.
    share = digits.train_images.sum((1, 2), dtype=np.float64) / 255 / 400
    assert 0.20 < share.mean() < 0.30
    assert 0.06 < share.std() < 0.12


def test_digits_can_be_told_apart_but_not_by_memory_alone(digits: DataSet) -> None:
    train = digits.train_images.reshape(600, -1).astype(np.float32)
    test = digits.test_images.reshape(200, -1).astype(np.float32)
    distances = (train**2).sum(1) - 2 * test @ train.T
    accuracy = (digits.train_labels[distances.argmin(1)] == digits.test_labels).mean()
    assert 0.80 < accuracy < 0.99


def test_a_count_that_fills_no_whole_chunk_is_kept() -> None:
    digits = rendered.rendered_data(7, 1, seed=3)
    assert (len(digits.train_images), len(digits.train_labels)) == (7, 7)
    assert digits.train_images.any((1, 2)).all()


def test_progress_counts_both_parts_and_ends_at_the_total() -> None:
    seen: list[tuple[int, int]] = []
    rendered.rendered_data(30, 10, progress=lambda done, total, note="": seen.append((done, total)))
    assert seen == [(30, 40), (40, 40)]


def test_matplotlib_is_not_imported_for_its_fonts() -> None:
    script = (
        "import sys; from mnist_edge.data.fonts import rendered_data; rendered_data(1, 1);"
        "sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_without_matplotlib_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="matplotlib") as caught:
        rendered._font_folder()
    assert "pip install" in caught.value.fix
