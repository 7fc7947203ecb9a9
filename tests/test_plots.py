from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

matplotlib = pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from matplotlib.text import Annotation

from mnist_edge.bundle.history import Epoch
from mnist_edge.metrics import confusion, per_class
from mnist_edge.plots.classes import class_scores, confusion_matrix
from mnist_edge.plots.curves import training_curves
from mnist_edge.plots.digits import ReadDigit, digit_grid, percent
from mnist_edge.plots.style import shortened, ticks
from mnist_edge.plots.tradeoff import (
    RecipePoint,
    accuracy_against_latency,
    accuracy_against_size,
    accuracy_front,
)


def make_history(epochs: int, *, last_accuracy: float = 0.99) -> list[Epoch]:
    return [
        Epoch(
            epoch=epoch,
            train_loss=0.3 / epoch,
            train_accuracy=1 - 0.1 / epoch,
            test_loss=0.2 / epoch,
            test_accuracy=last_accuracy if epoch == epochs else 0.95,
            learning_rate=0.01,
            duration_s=1.0,
        )
        for epoch in range(1, epochs + 1)
    ]


def make_point(name: str, parameters: int, accuracy: float, **changes: float) -> RecipePoint:
    fields = {"accuracy_sd": 0.0005, "n": 5, "latency_s": 5e-5, "claim_accuracy": None} | changes
    return RecipePoint(
        name=name,
        parameters=parameters,
        accuracy_mean=accuracy,
        **fields,  # type: ignore[arg-type]
    )


def make_digits(count: int) -> list[ReadDigit]:
    return [
        ReadDigit(index=i, label=4, predicted=9, probability=0.9, label_probability=0.1)
        for i in range(count)
    ]


POINTS = [
    make_point("small", 16_000, 0.9905),
    make_point("lenet", 61_000, 0.9887, claim_accuracy=0.9876),
    make_point("large", 320_000, 0.9975),
]
ANCHORS = [RecipePoint(name="one run", parameters=15_000, accuracy_mean=0.9904, kind="published")]
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
LABELS = np.arange(100) % 10
COUNTS = confusion(np.where(np.arange(100) < 95, LABELS, 0), LABELS)
PICTURES = {
    "one epoch": lambda: training_curves(make_history(1)),
    "45 epochs": lambda: training_curves(make_history(45)),
    "confusion": lambda: confusion_matrix(COUNTS),
    "scores": lambda: class_scores(per_class(COUNTS)),
    "digits": lambda: digit_grid(make_digits(11), IMAGES),
    "size": lambda: accuracy_against_size(POINTS),
    "latency": lambda: accuracy_against_latency(POINTS),
    "front": lambda: accuracy_front([*POINTS, *ANCHORS]),
}


def pixels(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"), np.int64)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were drawn, instead of their bytes."""
    figures: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        figure.draw_without_rendering()
        figures.append(figure)
        return b""

    for module in ("classes", "curves", "digits", "tradeoff"):
        monkeypatch.setattr(f"mnist_edge.plots.{module}.png", keep)
    return figures


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_depends_on_its_data_alone(name: str) -> None:
    first = PICTURES[name]()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert PICTURES[name]() == first
    assert pixels(first).std() > 1  # it is not blank


def test_drawing_leaves_the_users_settings_alone() -> None:
    with matplotlib.rc_context({"font.size": 30}):
        PICTURES["scores"]()
        assert matplotlib.rcParams["font.size"] == 30


def test_only_errors_are_coloured() -> None:
    def coloured(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
        picture = pixels(confusion_matrix(counts))
        return int((picture.max(axis=2) - picture.min(axis=2) > 60).sum())

    right = np.diag(np.full(10, 1000))
    wrong = right.copy()
    wrong[4, 9] = 5
    assert coloured(right) == 0
    assert coloured(wrong) > 1000


def test_an_accuracy_of_one_and_a_loss_of_zero_can_be_drawn(drawn: list[Figure]) -> None:
    history = make_history(8, last_accuracy=1.0)
    perfect = Epoch(**{**vars(history[-1]), "train_loss": 0.0})
    training_curves([*history[:-1], perfect])
    losses, accuracies = drawn[0].axes
    assert losses.get_ylim()[0] <= 0
    assert accuracies.get_ylim()[1] > 0.99


def test_accuracies_stand_in_percent_whatever_the_scale(drawn: list[Figure]) -> None:
    for history in (make_history(1), make_history(45, last_accuracy=0.9951)):
        training_curves(history)
        labels = [label.get_text() for label in drawn[-1].axes[1].get_yticklabels()]
        assert len(labels) >= 4
        assert all(label.endswith("%") for label in labels)


def test_high_accuracies_are_drawn_apart(drawn: list[Figure]) -> None:
    training_curves(make_history(45, last_accuracy=0.9951))
    axes = drawn[0].axes[1]
    heights = axes.transAxes.inverted().transform(
        axes.transData.transform([(1, 0.90), (1, 0.95), (1, 0.99), (1, 0.995)])
    )[:, 1]
    assert heights[3] - heights[2] == pytest.approx(heights[1] - heights[0], rel=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.004, 0.07), (0.0004, 0.9), (0.02, 0.09), (3e4, 2e6)])
def test_a_logarithmic_axis_has_enough_round_ticks(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 4 <= len(found) <= 12
    assert found == sorted(found)
    assert low <= found[0] <= found[-1] <= high


def test_names_of_recipes_cover_neither_each_other_nor_a_dot(drawn: list[Figure]) -> None:
    near = [make_point(f"recipe-{i}", 50_000 + 800 * i, 0.99 + 0.0004 * i) for i in range(5)]
    accuracy_against_size([*POINTS, *near])
    axes = drawn[0].axes[0]
    names = [text for text in axes.texts if isinstance(text, Annotation)]
    boxes = [text.get_window_extent() for text in names]
    assert len(names) == 8
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    dots = axes.transData.transform([text.xy for text in names])
    assert not any(box.contains(x, y) for box in boxes for x, y in dots)


def test_in_the_front_a_name_covers_no_spread_and_stays_in_its_panel(drawn: list[Figure]) -> None:
    spread = make_point("spread", 61_500, 0.9920, accuracy_sd=0.004)
    accuracy_front([*POINTS, spread, *ANCHORS])
    for axes, count in zip(drawn[0].axes, (5, 4), strict=True):
        names = [text for text in axes.texts if isinstance(text, Annotation)]
        boxes = [text.get_window_extent() for text in names]
        assert len(names) == count
        assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)
        bar = axes.transData.transform([(61_500, 0.9920 + 0.0004 * step) for step in range(-9, 10)])
        if axes is drawn[0].axes[0]:
            assert not any(box.contains(x, y) for box in boxes for x, y in bar)


def test_the_front_tells_ours_claims_and_published_figures_apart(drawn: list[Figure]) -> None:
    theirs = RecipePoint(**{**vars(POINTS[1]), "kind": "reproduced"})
    accuracy_front([POINTS[0], theirs, *ANCHORS])
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert len(labels) == 4
    assert any("published by others" in label for label in labels)


def test_a_recipe_without_a_latency_is_left_out_of_that_picture_alone(drawn: list[Figure]) -> None:
    points = [*POINTS, RecipePoint(**{**vars(POINTS[0]), "name": "new", "latency_s": None})]
    accuracy_against_size(points)
    accuracy_against_latency(points)
    by_size, by_latency = ([text.get_text() for text in f.axes[0].texts] for f in drawn)
    assert "new" in by_size
    assert "new" not in by_latency


def test_a_claim_is_drawn_where_there_is_one(drawn: list[Figure]) -> None:
    accuracy_against_size(POINTS)
    accuracy_against_size(POINTS[:1])
    with_claim, without = (f.axes[0].get_legend_handles_labels()[1] for f in drawn)
    assert len(with_claim) == 2
    assert len(without) == 1


def test_a_wrong_digit_shows_both_classes_and_probabilities(drawn: list[Figure]) -> None:
    digit_grid(make_digits(1), IMAGES)
    axes = drawn[0].axes[0]
    assert axes.get_title() == "4 read as 9"
    assert axes.texts[0].get_text() == "as 9: 90.0%\nas 4: 10.0%\nno. 0"


def test_every_digit_has_its_own_place(drawn: list[Figure]) -> None:
    digit_grid(make_digits(11), IMAGES, columns=4)
    boxes = [axes.get_tightbbox() for axes in drawn[0].axes]
    whole = drawn[0].bbox
    assert len(boxes) == 11
    for i, box in enumerate(boxes):
        assert box is not None
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert whole.y0 <= box.y0
        assert box.y1 <= whole.y1
        assert not any(box.overlaps(other) for other in boxes[:i] if other)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, ">99.9%"), (0.9996, ">99.9%"), (0.505, "50.5%"), (0.001, "0.1%"), (1e-9, "<0.1%")],
)
def test_a_probability_never_looks_certain(probability: float, text: str) -> None:
    assert percent(probability) == text


def test_a_class_that_is_never_named_scores_zero(drawn: list[Figure]) -> None:
    counts = np.diag(np.full(10, 5))
    counts[3] = 0
    counts[3, 8] = 5
    scores = per_class(counts)
    assert (scores[3].precision, scores[3].recall, scores[3].f1) == (0, 0, 0)
    assert scores[8].precision == 0.5
    assert scores[8].recall == 1
    assert scores[8].f1 == pytest.approx(2 / 3)
    class_scores(scores)
    assert math.isfinite(sum(drawn[0].axes[0].get_ylim()))


def test_names_in_figures_are_short_and_no_formulas() -> None:
    assert shortened(["$x^2$", "a" * 30]) == [r"\$x^2\$", "a" * 11 + "…"]


@pytest.mark.parametrize("count", [2, 26, 1000])
def test_any_number_of_classes_is_drawn(count: int) -> None:
    names = [f"$class {number}" for number in range(count - 1)] + ["日本"]
    labels = np.arange(3 * count) % count
    counts = confusion(np.where(labels % 7, labels, 0), labels, count)
    scores = per_class(counts)
    for drawn in (confusion_matrix(counts, names), class_scores(scores, names)):
        width, height = Image.open(io.BytesIO(drawn)).size
        assert max(width, height) < 5000
