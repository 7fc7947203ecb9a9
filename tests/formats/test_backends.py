"""The contract of the seam, run on every backend."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
from factory import RECIPE
from numpy.typing import NDArray
from tiny_onnx import tiny_onnx, weight_matrix

from mnist_edge.contract import Images
from mnist_edge.errors import BadInput
from mnist_edge.formats import FORMATS, Backend, load_backend
from mnist_edge.formats.running import is_batch_invariant
from mnist_edge.recipes.terms import Format, Precision

BACKENDS = [
    pytest.param("onnx-tiny", marks=pytest.mark.edge),
    "checkpoint-float32",
    *(
        pytest.param(
            f"{name}-{precision}",
            marks=pytest.mark.skipif(bool(why := format_.absent()), reason=why),
        )
        for name, format_ in FORMATS.items()
        for precision in format_.precisions
    ),
]


def load(name: str, threads: int = 1) -> Backend:
    if name == "onnx-tiny":
        return load_backend(tiny_onnx(), "onnx", RECIPE, threads=threads)
    pytest.importorskip("torch")
    import exported

    format_, _, precision = name.partition("-")
    written = exported.written(cast("Format", format_), cast("Precision", precision))
    return load_backend(
        written.data,
        cast("Format", format_),
        exported.RECIPE,
        companions=written.companions,
        threads=threads,
    )


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    backend = load(request.param)
    yield backend
    backend.close()


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).random((7, 1, 28, 28), dtype=np.float32)


def test_logits_are_float32_of_one_row_per_image(backend: Backend, images: Images) -> None:
    for count in (1, 2, 7):
        logits = backend.run(images[:count])
        assert logits.dtype == np.float32
        assert logits.shape == (count, 10)
        assert np.isfinite(logits).all()


def test_it_says_what_it_is(backend: Backend) -> None:
    assert backend.name
    assert backend.name == backend.name.lower()
    assert backend.version[0].isdigit()
    assert backend.device == "cpu"


def test_an_empty_batch_has_no_rows(backend: Backend, images: Images) -> None:
    logits = backend.run(images[:0])
    assert logits.dtype == np.float32
    assert logits.shape == (0, 10)


def test_the_input_is_untouched(backend: Backend, images: Images) -> None:
    before = images.copy()
    backend.run(images)
    np.testing.assert_array_equal(images, before)


def test_the_same_input_gives_the_same_output(backend: Backend, images: Images) -> None:
    first = backend.run(images).copy()
    backend.run(images[::-1])
    np.testing.assert_array_equal(backend.run(images), first)


def test_results_are_not_overwritten_by_the_next_run(backend: Backend, images: Images) -> None:
    first = backend.run(images)
    kept = first.copy()
    backend.run(1 - images)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_row_does_not_depend_on_its_batch_or_the_artifact_says_so(
    name: str, images: Images
) -> None:
    backend = load(name)
    alone = np.concatenate([backend.run(images[i : i + 1]) for i in range(len(images))])
    independent = np.allclose(backend.run(images), alone, atol=1e-5)
    assert independent == is_batch_invariant(backend, images) == ("dynamic" not in name)
    backend.close()


@pytest.mark.parametrize("count", [1, 3])
def test_layout_and_permissions_do_not_matter(backend: Backend, images: Images, count: int) -> None:
    plain = backend.run(images[:count])
    padded = np.zeros((count, 1, 28, 56), np.float32)
    padded[..., ::2] = images[:count]
    backwards = images[:count][::-1].copy()[::-1]
    read_only = images[:count].copy()
    read_only.flags.writeable = False
    for other in (padded[..., ::2], backwards, read_only, np.asfortranarray(images[:count])):
        np.testing.assert_array_equal(backend.run(other), plain)


def test_values_are_used_up_to_both_ends_of_the_range(backend: Backend) -> None:
    black, white = (np.full((1, 1, 28, 28), value, np.float32) for value in (0, 1))
    assert not np.allclose(backend.run(black), backend.run(white))
    np.testing.assert_array_equal(backend.run(-black), backend.run(black))  # -0.0 is 0


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (np.zeros((1, 1, 28, 28)), "dtype"),
        (np.zeros((1, 1, 28, 28), np.uint8), "/ 255"),
        (np.zeros((1, 1, 28, 28), ">f4"), "dtype"),
        (np.zeros((1, 1, 28, 28), object), "dtype"),
        (np.zeros((1, 28, 28), np.float32), "shape"),
        (np.zeros((1, 28, 28, 1), np.float32), "shape"),
        (np.zeros((1, 1, 27, 27), np.float32), "shape"),
        (np.full((1, 1, 28, 28), np.nan, np.float32), "NaN"),
        (np.full((1, 1, 28, 28), np.inf, np.float32), "infinity"),
        (np.full((1, 1, 28, 28), 255, np.float32), "expected [0, 1]"),
        (np.full((1, 1, 28, 28), -0.5, np.float32), "expected [0, 1]"),
        ([[0.0]], "NumPy array"),
    ],
)
def test_an_array_that_breaks_the_contract_is_refused(
    backend: Backend, spoilt: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        backend.run(spoilt)
    assert message in str(caught.value)


def test_closing_twice_is_fine_and_running_after_is_not(backend: Backend, images: Images) -> None:
    backend.close()
    backend.close()
    with pytest.raises(ValueError, match="closed"):
        backend.run(images)


@pytest.mark.parametrize("name", BACKENDS)
def test_threads_do_not_change_the_answers(name: str, images: Images) -> None:
    one, two = load(name, threads=1), load(name, threads=2)
    np.testing.assert_allclose(two.run(images), one.run(images), atol=1e-5)
    one.close()
    two.close()


@pytest.mark.edge
def test_the_onnx_backend_computes_what_the_file_says(images: Images) -> None:
    expected = images.reshape(7, -1).astype(np.float64) @ weight_matrix()
    np.testing.assert_allclose(load("onnx-tiny").run(images), expected, atol=1e-5)


@pytest.mark.edge
def test_the_edge_side_loads_without_torch() -> None:
    program = (
        "import sys, mnist_edge.verify, mnist_edge.formats.onnx.run\n"
        "print({'torch', 'onnx', 'safetensors', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
