"""Frozen records against the standard library's own."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from mnist_edge.recipes.frozen import frozen

pytestmark = pytest.mark.edge


@frozen
class Ours:
    """Of each kind of field one."""

    number: int
    text: str = "a"
    items: tuple[int, ...] = field(default_factory=lambda: (1, 2))
    note: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError(self.number)


@frozen
class Child(Ours):
    """With one more."""

    more: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """The same by the standard library."""

    number: int
    text: str = "a"
    items: tuple[int, ...] = field(default_factory=lambda: (1, 2))
    note: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)


CASES: list[dict[str, Any]] = [
    {"number": 1},
    {"number": 1, "note": "seen"},
    {"number": 1, "secret": "x"},
    {"number": 2, "text": "b", "items": ()},
]


@pytest.mark.parametrize("values", CASES)
def test_a_record_is_shown_and_hashed_as_the_standard_librarys(values: dict[str, Any]) -> None:
    ours, theirs = Ours(**values), Theirs(**values)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert hash(ours) == hash(theirs)
    assert asdict(ours) == asdict(theirs)
    assert [f.name for f in fields(ours)] == [f.name for f in fields(theirs)]


@pytest.mark.parametrize("one", CASES)
@pytest.mark.parametrize("other", CASES)
def test_records_are_equal_where_the_standard_librarys_are(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (Ours(**one) == Ours(**other)) == (Theirs(**one) == Theirs(**other))
    theirs: object = Theirs(**one)
    assert Ours(**one) != theirs


@pytest.mark.parametrize("kind", [Ours, Child, Theirs])
def test_nothing_of_a_record_can_be_changed(kind: type) -> None:
    record = kind(number=1)
    for name in ("number", "text", "note", "unknown"):
        with pytest.raises(FrozenInstanceError):
            setattr(record, name, 3)
        with pytest.raises(FrozenInstanceError):
            delattr(record, name)
    assert record == kind(number=1)


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_fields_are_given_by_name_alone(kind: Any) -> None:
    for arguments in ((1,), ()):
        with pytest.raises(TypeError):
            kind(*arguments)
    with pytest.raises(TypeError):
        kind(number=1, unknown=2)


def test_a_record_is_replaced_copied_and_sent_whole() -> None:
    record = Child(number=1, note="seen", more=2.0)
    assert replace(record, number=2) == Child(number=2, more=2.0)
    assert replace(record, number=2).note == "seen"
    with pytest.raises(ValueError, match="-1"):
        replace(record, number=-1)
    for same in (pickle.loads(pickle.dumps(record)), copy.deepcopy(record)):
        assert (same, same.note) == (record, "seen")


def test_a_record_and_its_child_are_never_equal() -> None:
    assert Ours(number=1) != Child(number=1)
    assert "more=0.5" in repr(Child(number=1))
