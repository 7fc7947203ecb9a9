"""The command line that reads the usual call without typer, against typer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.cli.direct import find_call, read_words
from mnist_edge.cli.options import declared_by
from mnist_edge.cli.typed import load_verb
from mnist_edge.cli.verbs import VERBS, module_of

pytestmark = pytest.mark.edge

DECLARED = {verb: declared_by(module_of(verb).command) for verb in VERBS}
TYPED = {verb: load_verb(verb) for verb in VERBS}
SPELLINGS = {
    verb: [name for known in declared for name, _ in known.spellings]
    for verb, declared in DECLARED.items()
}
VALUES = [
    "7.png",
    "scans",
    "-",
    "3",
    "0.5",
    "18",
    "cpu",
    "onnx",
    "onnxruntime",
    "digit",
    "auto",
    "a b=c",
]
ODD = ["", "--", "-x", "-1", "--help", "-h", "-qq", "--quie", "--json=", "x", "1e999", "nan", "Ⅶ"]


def by_typer(verb: str, words: list[str]) -> dict[str, Any]:
    """What typer makes of the words after a verb; it raises where it makes nothing of them."""
    params: dict[str, Any] = TYPED[verb].make_context(verb, [*words]).params
    return params


def words_of(verb: str) -> st.SearchStrategy[list[str]]:
    """Anything that may be typed after a verb, most of it with a meaning."""
    value = st.sampled_from(VALUES) | st.sampled_from(ODD)
    option = st.sampled_from(SPELLINGS[verb])
    part = st.one_of(
        value.map(lambda one: [one]),
        option.map(lambda one: [one]),
        st.tuples(option, value).map(list),
        st.tuples(option, value).map(lambda pair: ["=".join(pair)]),
    )
    return st.lists(part, max_size=6).map(lambda parts: [word for part in parts for word in part])


@pytest.mark.parametrize("verb", VERBS)
@given(data=st.data())
def test_what_is_read_without_typer_is_what_typer_reads(verb: str, data: st.DataObject) -> None:
    words = data.draw(words_of(verb))
    values = read_words(DECLARED[verb], words)
    if values is not None:
        assert values == by_typer(verb, words)


@pytest.mark.parametrize("verb", VERBS)
def test_each_option_of_each_verb_is_read_without_typer(verb: str) -> None:
    needed = [
        word
        for known in DECLARED[verb]
        if known.required
        for word in (*(name for name, _ in known.spellings[:1]), "7.png")
    ]
    for known in DECLARED[verb]:
        for name, _ in known.spellings:
            values = [[]] if known.is_flag else [[one] for one in (*VALUES, *known.option.known)]
            read = [read_words(DECLARED[verb], [*needed, name, *value]) for value in values]
            assert any(one is not None for one in read), f"{verb} {name}"


@pytest.mark.parametrize(
    "words",
    [
        "predict 7.png",
        "predict 7.png 8.png scans --quiet",
        "predict - --json",
        "predict --many number.jpg -q",
        "predict --bundle=exports/model --artifact onnx-int8 --top 1 --csv scans",
        "predict 7.png --model net.onnx --threads 2 --device cpu --processes 2 --batch-size 64",
        "predict 7.png --key k.pub --not-before 3 --trust --show --save-input seen",
        "doctor",
        "doctor model.onnx --json",
        "verify --bundle b --artifact onnx-float32 --artifact onnx-int8",
        "bench --quick",
    ],
)
def test_the_usual_call_is_read_without_typer(words: str) -> None:
    verb, *rest = words.split()
    found = find_call([verb, *rest])
    assert found is not None
    command, values = found
    assert command is module_of(verb).command
    assert values == by_typer(verb, rest)


@pytest.mark.parametrize(
    "words",
    [
        *("", "--version", "-V", "--help", "help predict", "nonsense"),
        *("predict", "predict --help", "predict 7.png -h", "predict 7.png --nonsense"),
        *("predict 7.png --top", "predict 7.png --top x", "predict 7.png --top -1"),
        *("predict -- -7.png", "predict 7.png --quiet=1", "predict 7.png --bundle --json"),
        *("predict 7.png -qh", "predict 7.png --quie", "doctor a b", "recipes a"),
        *("predict 7.png --device tpu", "predict 7.png --top 0", "sign"),
    ],
)
def test_help_mistakes_and_rare_spellings_are_left_to_typer(words: str) -> None:
    assert find_call(words.split()) is None


def test_a_shell_that_completes_is_answered_by_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MNIST_EDGE_COMPLETE", "complete_bash")
    assert find_call(["predict", "7.png"]) is None


def test_an_option_given_twice_has_its_last_value() -> None:
    found = find_call(["predict", "7.png", "--bundle", "a", "--bundle", "b"])
    assert found is not None
    assert found[1]["bundle"] == Path("b")
