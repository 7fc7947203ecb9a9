"""Connected components against the textbook's way."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_edge.picture.components import components, keep

pytestmark = pytest.mark.edge


def test_components_agree_with_a_flood_fill() -> None:
    rng = np.random.default_rng(0)
    for density in (0.1, 0.3, 0.5, 0.7):
        mask = rng.random((23, 31)) < density
        parts = components(mask)
        expected, count = flood_fill(mask)
        assert len(parts.areas) == count
        pairs = set(zip(parts.labels.ravel().tolist(), expected.ravel().tolist(), strict=True))
        assert len(pairs) == count + 1  # one to one, background included
        for label, (area, box) in enumerate(zip(parts.areas, parts.boxes, strict=True), 1):
            rows, columns = np.nonzero(parts.labels == label)
            assert area == len(rows)
            assert (box.top, box.bottom) == (rows.min(), rows.max() + 1)
            assert (box.left, box.right) == (columns.min(), columns.max() + 1)


def flood_fill(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    labels, count = np.zeros(mask.shape, np.int64), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        stack = [start]
        while stack:
            row, column = stack.pop()
            if mask[row, column] and not labels[row, column]:
                labels[row, column] = count
                stack += [
                    (r, c)
                    for r in range(max(row - 1, 0), min(row + 2, mask.shape[0]))
                    for c in range(max(column - 1, 0), min(column + 2, mask.shape[1]))
                ]
    return labels, count


def test_kept_parts_are_numbered_afresh() -> None:
    mask = np.array([[1, 0, 1, 0, 1]], np.bool_)
    parts = keep(components(mask), [0, 2])
    assert parts.labels.tolist() == [[1, 0, 0, 0, 2]]
    assert [box.left for box in parts.boxes] == [0, 4]
