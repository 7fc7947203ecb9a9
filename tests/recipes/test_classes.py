"""Names of classes: which may be, and how they stand in a file."""

from __future__ import annotations

import pytest

from mnist_edge.recipes.catalogue import RECIPES, recipe_for
from mnist_edge.recipes.classes import DIGITS, check_classes, joined, parted
from mnist_edge.recipes.train import TrainRecipe

pytestmark = pytest.mark.edge

NAMES = [
    DIGITS,
    ("a", "b"),
    ("a,b", 'say "c"', "d e"),
    ("Ärger", "日本", "$x^2$"),
    tuple(map(str, range(1000))),
]


@pytest.mark.parametrize("names", NAMES)
def test_joined_names_are_parted_again(names: tuple[str, ...]) -> None:
    line = joined(names)
    assert "\n" not in line
    assert parted(line) == names


def test_digits_stand_in_files_as_they_always_did() -> None:
    assert joined(DIGITS) == "0,1,2,3,4,5,6,7,8,9"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a",), "1 class, where"),
        (tuple(map(str, range(1001))), "1,001 classes"),
        (("a", ""), "0 characters"),
        (("a", "x" * 101), "101 characters"),
        (("a", "b\n"), "cannot be seen whole"),
        (("a", "\x1b[31m"), "cannot be seen whole"),
        (("a", " b"), "cannot be seen whole"),
        (("a", "b", "a"), "'a' stands twice"),
    ],
)
def test_names_that_cannot_be_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_classes(names)


@pytest.mark.parametrize("line", ['"a', "", "a", 'a,"b"c', "a\nb,c"])
def test_a_damaged_line_of_names_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"damaged|class"):
        parted(line)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_for_other_classes_keeps_nothing_of_digits(recipe: TrainRecipe) -> None:
    assert recipe_for(recipe, DIGITS) == (recipe, ())
    other, left_out = recipe_for(recipe, ("a", "b", "c"))
    assert other.outputs == 3
    assert (other.strokes, other.symbols, other.teacher) == (0, 0, "")
    assert (other.temperature, other.reject_below) == (1.0, 0.0)
    assert ("teacher" in left_out) == bool(recipe.teacher)
