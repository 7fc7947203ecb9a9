"""What is wrong with a typed command, in plain words; and its help, at any width."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator

import pytest

from mnist_edge import cli
from mnist_edge.cli.typed import load_verb
from mnist_edge.cli.verbs import VERBS
from mnist_edge.recipes.fields import fields_of
from mnist_edge.recipes.train import Augmentation, TrainRecipe

pytestmark = pytest.mark.edge

PAGES = ["", *VERBS]
JARGON = re.compile(
    r"valid (integer|number)|Value error|Input should|<\w+>|pydantic|range>", re.IGNORECASE
)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: its code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(words)
        return code, *capsys.readouterr()

    return run


Call = Callable[..., tuple[int, str, str]]


def checked_options() -> Iterator[tuple[str, str]]:
    """Each verb with what typer must refuse: a number or name that is none, a flag with a value."""
    named = {f"--{field.option}" for field in fields_of(TrainRecipe) if field.names}
    for verb in VERBS:
        for parameter in load_verb(verb).params:
            if parameter.param_type_name == "argument":
                continue
            option, kind = parameter.opts[0], parameter.metavar or ""
            name = option in named and kind != "FILE.py:CLASS"  # import has one of that name
            if parameter.is_flag or name or kind in ("N", "X") or "|" in kind:
                yield verb, f"{option}=nonsense"


# --- what was typed wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("train", "--epochs", "three"),
            "--epochs is 'three', which is no whole number; give --epochs one from 1 to 10000",
        ),
        (
            ("train", "--seed", "-1"),
            "--seed is -1, which is outside 0 to 4294967295; give --seed a value in that range",
        ),
        (
            ("train", "--learning-rate", "fast"),
            "--learning-rate is 'fast', which is no number; give --learning-rate one from 1e-09 to",
        ),
        (
            ("train", "--widths", "8", "--widths", "x"),
            "--widths is 'x', which is no whole number; give --widths one from 1 to 4096",
        ),
        (
            ("bench", "--batch-sizes", "1,8"),
            "--batch-sizes is '1,8', which is no whole number; give --batch-sizes one from 1 to",
        ),
        (
            ("predict", "7.png", "--top", "9999"),
            "--top is 9999, which is outside 1 to 1000; give --top a value in that range",
        ),
        (
            ("verify", "--device", "tpu"),
            "unknown device 'tpu'; did you mean cpu? choose from cpu, cuda, mps",
        ),
        (
            ("train", "--data", "mnst"),
            "unknown data set 'mnst'; did you mean mnist? choose from auto, mnist, rendered",
        ),
        (
            ("train", "--optimizer", "adamm"),
            "unknown optimizer 'adamm'; did you mean adam? choose from adam, adamw",
        ),
        (
            ("export", "--frmat", "onnx"),
            "unknown option '--frmat'; did you mean --format? see mnist-edge export --help",
        ),
        (("verify", "-x"), "unknown option '-x'; see mnist-edge verify --help"),
        (("train", "--epochs"), "option '--epochs' requires an argument; see mnist-edge train"),
        (("predict",), "missing argument 'PICTURE...'; see mnist-edge predict --help"),
        (("import",), "missing argument 'FILE'; see mnist-edge import --help"),
        (("doctor", "a", "b"), "unexpected argument b; see mnist-edge doctor --help"),
        (("trian",), "unknown command 'trian'; did you mean train? choose from run, train, "),
        (("help", "trian"), "unknown command 'trian'; did you mean train? "),
        (("--vers",), "unknown option '--vers'; did you mean --version? see mnist-edge --help"),
    ],
)
def test_a_mistake_is_said_in_plain_words(call: Call, words: tuple[str, ...], message: str) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"mnist-edge: error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("verb", "word"), [*checked_options()])
def test_no_option_answers_a_wrong_value_in_jargon(call: Call, verb: str, word: str) -> None:
    code, _, err = call(verb, word)
    assert code == 2
    assert word.partition("=")[0].lstrip("-") in err
    assert not JARGON.search(err), err
    assert err.count("\n") == 1


# --- help and version ---------------------------------------------------------------------------


@pytest.mark.parametrize("verb", PAGES)
def test_help_verb_is_verb_help(call: Call, verb: str) -> None:
    asked = call("help", *filter(None, [verb]))
    assert asked == call(*filter(None, [verb]), "--help")
    assert asked[0] == 0
    assert asked[1].startswith(f"Usage: mnist-edge {verb}".strip())


def test_the_version_has_a_short_option(call: Call) -> None:
    assert call("-V") == call("--version")


def page(call: Call, monkeypatch: pytest.MonkeyPatch, verb: str, width: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    return call("help", *filter(None, [verb]))[1].splitlines()


@pytest.mark.parametrize("verb", PAGES)
def test_help_fits_80_columns(call: Call, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    assert max(map(len, page(call, monkeypatch, verb, 80))) <= 80


@pytest.mark.parametrize("verb", PAGES)
@pytest.mark.parametrize("width", [20, 40, 80])
def test_help_says_the_same_at_any_width_and_breaks_no_word(
    call: Call, monkeypatch: pytest.MonkeyPatch, verb: str, width: int
) -> None:
    def words(width: int) -> list[str]:
        # Where there is no room the comment of an example stands above it.
        return sorted(" ".join(page(call, monkeypatch, verb, width)).split())

    assert words(width) == words(1000)


@pytest.mark.parametrize("verb", PAGES)
def test_help_shows_no_type_where_there_is_nothing_to_give(
    call: Call, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    said = "\n".join(page(call, monkeypatch, verb, 80))
    assert not JARGON.search(said)
    assert "None" not in said
    assert re.search(r"^  -h, --help  ", said, re.MULTILINE)


def test_train_lists_its_fields_in_groups(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = page(call, monkeypatch, "train", 80)
    groups = {
        field.setting.group for part in (TrainRecipe, Augmentation) for field in fields_of(part)
    }
    assert len(groups) >= 4
    assert groups < set(lines)
    for part in (TrainRecipe, Augmentation):
        for field in fields_of(part):
            spot = next(
                i for i, line in enumerate(lines) if line.startswith(f"  --{field.option} ")
            )
            titles = [line for line in lines[:spot] if line and not line.startswith(" ")]
            assert titles[-1] == field.setting.group


def test_help_is_plain_where_no_terminal_reads_it(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in "".join(page(call, monkeypatch, "train", 80))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "".join(page(call, monkeypatch, "train", 80))
