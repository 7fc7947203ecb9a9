from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.bundle import codec
from mnist_edge.recipes.terms import Optimizer, Schedule
from mnist_edge.recipes.train import WIDTH_COUNTS, Augmentation, Claim, TrainRecipe

pytestmark = pytest.mark.edge


@dataclass(frozen=True, kw_only=True)
class Inner:
    text: str
    flag: bool = False


@dataclass(frozen=True, kw_only=True)
class Sample:
    count: int
    ratio: float
    kind: Literal["a", "b"]
    items: tuple[Inner, ...]
    table: dict[str, float]
    maybe: Inner | None = None
    schema: Literal[1] = 1


SAMPLE = Sample(count=1, ratio=0.5, kind="a", items=(Inner(text="x"),), table={"k": 1.0})

_INNER = st.builds(Inner, text=st.text(), flag=st.booleans())
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_SAMPLES = st.builds(
    Sample,
    count=st.integers(),
    ratio=_FINITE,
    kind=st.sampled_from(["a", "b"]),
    items=st.lists(_INNER, max_size=3).map(tuple),
    table=st.dictionaries(st.text(), _FINITE, max_size=3),
    maybe=st.none() | _INNER,
)
_SHARE = st.floats(0, 1)
_RECIPES = st.sampled_from(sorted(WIDTH_COUNTS)).flatmap(
    lambda architecture: st.builds(
        TrainRecipe,
        name=st.text(),
        architecture=st.just(architecture),
        widths=st.sampled_from(WIDTH_COUNTS[architecture]).flatmap(
            lambda count: st.tuples(*[st.integers(1, 4096)] * count)
        ),
        epochs=st.integers(1, 10_000),
        batch_size=st.integers(1, 60_000),
        learning_rate=st.floats(1e-9, 100),
        optimizer=st.sampled_from(get_args(Optimizer)),
        schedule=st.sampled_from(get_args(Schedule)),
        warmup=_SHARE,
        mean=st.floats(-1, 1),
        augmentation=st.builds(Augmentation, shear=_SHARE, thickness=_SHARE, anneal=_SHARE),
        seed=st.integers(0, 2**32 - 1),
        claim=st.none() | st.builds(Claim, project=st.text()),
    )
)


def changed(**fields: object) -> str:
    """The JSON of `SAMPLE` with some fields changed."""
    return json.dumps({**json.loads(codec.dumps(SAMPLE)), **fields})


@given(_SAMPLES)
def test_what_is_written_is_read_again(sample: Sample) -> None:
    assert codec.loads(Sample, codec.dumps(sample)) == sample


@given(_RECIPES)
def test_every_recipe_survives_the_round_trip(recipe: TrainRecipe) -> None:
    assert codec.loads(TrainRecipe, codec.dumps(recipe)) == recipe


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        codec.loads(Sample, text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | _FINITE | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["count", "ratio", "kind", "items", "table", "maybe", "text"]),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_other_document_is_a_value_error(document: object) -> None:
    with pytest.raises(ValueError):
        codec.decode(Sample, document)


def test_the_text_is_stable_and_ends_with_a_line_break() -> None:
    text = codec.dumps(Inner(text="ä"))
    assert text == '{\n  "text": "ä",\n  "flag": false\n}\n'


def test_numbers_stand_in_one_line_and_texts_that_look_like_them_stay() -> None:
    document = {"numbers": [1, -2.5e-07], "text": "[\n1,\n2\n]", "none": [], "mixed": [1, "2"]}
    text = codec.join_numbers(codec.dumps(document))
    assert '"numbers": [1, -2.5e-07],' in text
    assert json.loads(text) == document


def test_fields_with_a_default_may_be_left_out() -> None:
    assert codec.loads(Inner, '{"text": "x"}') == Inner(text="x")


def test_a_whole_number_is_read_where_a_float_stands() -> None:
    ratio = codec.loads(Sample, changed(ratio=3)).ratio
    assert ratio == 3.0
    assert type(ratio) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "document: expected dict, found list"),
        (changed(extra=1), "unknown field 'extra'"),
        ('{"count": 1}', "field 'ratio' is missing"),
        (changed(count=1.0), r"document\.count: expected int, found float"),
        (changed(count=True), r"document\.count: expected int, found bool"),
        (changed(count=None), r"document\.count: expected int, found NoneType"),
        (changed(ratio="1"), r"document\.ratio: expected a number, found str"),
        (changed(ratio=True), r"document\.ratio: expected a number, found bool"),
        (changed(ratio=10**400), r"document\.ratio: the number is too large"),
        (changed().replace("0.5", "1e999"), r"document\.ratio: the number is too large"),
        (changed().replace("0.5", "NaN"), "NaN is not JSON"),
        (changed().replace("0.5", "-Infinity"), "-Infinity is not JSON"),
        (changed(count=0).replace("0,", "1" * 5000 + ","), "limit"),
        (changed(kind="c"), r"document\.kind: 'c' is none of 'a', 'b'"),
        (changed(schema=True), r"document\.schema: True is none of 1"),
        (changed(schema=1.0), r"document\.schema: 1\.0 is none of 1"),
        (changed(schema=2), r"document\.schema: 2 is none of 1"),
        (changed(items={}), r"document\.items: expected list, found dict"),
        (changed(items=[{"text": 1}]), r"document\.items\[0\]\.text: expected str, found int"),
        (changed(table=[]), r"document\.table: expected dict, found list"),
        (changed(table={"k": "v"}), r"document\.table\.k: expected a number"),
        (changed(maybe=[]), r"document\.maybe: expected dict, found list"),
        (changed(maybe={"text": "\ud800"}), r"document\.maybe\.text: half of a surrogate pair"),
        (changed(table={"\udfff": 1}), r"document\.table: half of a surrogate pair"),
        ('{"text": "a", "text": "b"}', "'text' stands twice"),
        ("\ufeff{}", "BOM"),
        ("[" * 200_000, "nested too deeply"),
        ('{"items":' * 200_000, "nested too deeply"),
    ],
)
def test_a_wrong_document_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        codec.loads(Sample, text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["k" * 10**6, "\n" * 10**6])
def test_the_message_stays_short_whatever_the_document_holds(name: str) -> None:
    for text in (changed(**{name: 1}), changed(kind=name), changed(table={name: "v"})):
        with pytest.raises(ValueError) as caught:
            codec.loads(Sample, text)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_does_not_have_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.dumps(replace(SAMPLE, ratio=number))


def test_a_file_name_that_is_not_utf_8_can_be_written() -> None:
    path = Path(b"caf\xe9".decode(errors="surrogateescape"))
    assert codec.dumps({"path": str(path)}).encode() == b'{\n  "path": "caf?"\n}\n'
