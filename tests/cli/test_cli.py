"""The command line from outside: what stands on which stream, and with which exit code."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
import typer
from factory import make_bundle
from PIL import Image

from mnist_edge import __version__, cli, errors
from mnist_edge.cli import talk as talking
from mnist_edge.cli.options import given_fields
from mnist_edge.cli.reports import report_path
from mnist_edge.cli.signals import Stopped
from mnist_edge.cli.typed import load_verb
from mnist_edge.cli.verbs import VERBS
from mnist_edge.contract import Images, Logits
from mnist_edge.predict import Predictor
from mnist_edge.recipes import bench as recipes
from mnist_edge.recipes import catalogue
from mnist_edge.recipes.bench import BenchRecipe
from mnist_edge.recipes.terms import Device
from mnist_edge.recipes.train import Augmentation, TrainRecipe

pytestmark = pytest.mark.edge


@dataclass(frozen=True)
class Said:
    """What one command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in this process."""

    def run(*words: str | Path) -> Said:
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with no shipped bundle."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "mnist_edge.bundle.folder.default_bundle_path", lambda: Path("exports/model")
    )
    return tmp_path


class Sevens:
    """A backend that sees sevens, fainter where the picture's first pixel is lit."""

    name, version = "fake", "1"
    device: Device = "cpu"

    def run(self, images: Images) -> Logits:
        logits = np.zeros((len(images), 10), np.float32)
        logits[:, 7], logits[:, 1] = 9, 5
        return logits

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def sevens(monkeypatch: pytest.MonkeyPatch, inside: Path) -> Path:
    """A folder with two pictures, and a predictor that needs no runtime."""
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Sevens()))
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    folder = inside / "scans"
    folder.mkdir()
    for name in ("one.png", "two.png"):
        Image.fromarray(pixels).save(folder / name)
    return folder


def outside(*words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own."""
    settings: dict[str, object] = {"capture_output": True, "timeout": 60, **options}
    return subprocess.run([sys.executable, "-m", "mnist_edge", *words], **settings)  # type: ignore[call-overload,no-any-return]


def raising(error: BaseException) -> Callable[..., int]:
    def app(*_: object, **__: object) -> int:
        raise error

    return app


# --- the boundary ---------------------------------------------------------------------------


def test_the_version_is_printed(call: Callable[..., Said]) -> None:
    assert call("--version") == Said(0, f"mnist-edge {__version__}\n", "")


def test_no_command_prints_help_and_is_a_usage_error(call: Callable[..., Said]) -> None:
    said = call()
    assert said.code == 2
    assert "predict" in said.out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["predict"], "PICTURE"),
        (["predict", "x.png", "--top", "0"], "--top"),
        (["predict", "x.png", "--bundle", "nowhere"], "no bundle at nowhere"),
        (["export", "--frmat", "onnx"], "--frmat"),
        (["export", "--format", "onx"], "did you mean onnx"),
        (["export", "--precision", "int9"], "did you mean int8"),
        (["export", "--format", "torchscript", "--precision", "int8"], "cannot hold int8"),
        (["export", "--opset", "99"], "--opset is 99"),
        (["export"], "no bundle at exports/model"),
        (["verify", "--device", "tpu"], "unknown device 'tpu'; did you mean cpu? "),
        (["bench", "--quick", "--thorough"], "exclude each other"),
        (["bench", "--duration", "0"], "--duration"),
        (["train", "--recipe", "quik"], "did you mean quick"),
        (["train", "--epochs", "0"], "--epochs"),
        (["rum"], "rum"),
    ],
)
def test_a_users_mistake_is_one_line_and_code_2(
    call: Callable[..., Said], inside: Path, words: list[str], part: str
) -> None:
    said = call(*words)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("mnist-edge: error: ")
    assert part in said.err
    assert "; " in said.err, "the fix is missing"
    assert said.err.count("\n") == 1


def test_a_data_folder_without_data_is_one_line_and_code_2(
    call: Callable[..., Said], inside: Path
) -> None:
    pytest.importorskip("torch")  # without it, train says so first
    said = call("train", "--data-dir", "nowhere", "--quiet")
    assert said.code == 2
    assert "no readable MNIST in nowhere" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["predict", "--json"], "UsageError"),
        (["predict", "x.png", "--csv", "--json"], "UsageError"),
        (["predict", "x.png", "--json", "--bundle", "nowhere"], "BundleError"),
        (["bench", "--json", "--nonsense"], "UsageError"),
    ],
)
def test_with_json_an_error_is_one_document_on_stdout(
    call: Callable[..., Said], inside: Path, words: list[str], kind: str
) -> None:
    said = call(*words)
    document = json.loads(said.out)
    assert set(document["error"]) == {"kind", "message", "fix", "exit_code"}
    assert document["error"]["kind"] == kind
    assert document["error"]["exit_code"] == said.code == 2


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (errors.BadInput("what", fix="fix"), 2, "BadInput"),
        (errors.NotEquivalent("what", fix="fix"), 1, "NotEquivalent"),
        (typer.BadParameter("what"), 2, "UsageError"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "StorageError"),
        (ModuleNotFoundError("no torch", name="torch"), 2, "MissingDependency"),
        (Stopped(signal.SIGINT), 130, "Stopped"),
        (Stopped(signal.SIGTERM), 143, "Stopped"),
    ],
)
def test_what_is_no_bug_gives_one_line_and_its_code(
    call: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    kind: str,
) -> None:
    monkeypatch.setattr("mnist_edge.cli.typed.app", raising(error))
    said = call("predict", "--json")
    assert said.code == code
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert json.loads(said.out)["error"]["kind"] == kind


@pytest.mark.parametrize(
    "error",
    [
        KeyError("secret"),
        PermissionError(errno.EACCES, "not ours to see"),
        ModuleNotFoundError("x", name="mnist_edge.gone"),
        AssertionError("two\nlines"),
    ],
)
def test_a_bug_shows_its_traceback_and_code_3(
    call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(cli, "call", raising(error))
    said = call("predict", "--json")
    assert said.code == 3
    assert "Traceback" in said.err
    assert said.err.splitlines()[-1].startswith("mnist-edge: error: this should not have happened")
    assert "report" in said.err.splitlines()[-1]
    assert json.loads(said.out)["error"]["kind"] == "Bug"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_process_cleanly(tmp_path: Path, number: int, code: int) -> None:
    # What stands in `finally` must have run: temporary files go that way.
    script = (
        "import sys, time\n"
        "from mnist_edge import cli\n"
        "def call(_):\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('cleaned', flush=True)\n"
        "cli.call = call\n"
        "sys.exit(cli.main(['train']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == "cleaned\n"
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("words", [["predict"], ["predict", "--json"]], ids=" ".join)
def test_a_signal_ends_a_runtime_that_does_not_give_its_thread_back(
    number: int, code: int, words: list[str]
) -> None:
    script = (
        "import hashlib, sys\n"
        "from mnist_edge import cli\n"
        "def call(_):\n"
        "    print('ready', file=sys.stderr, flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2**31 - 1)\n"  # many minutes in C
        "cli.call = call\n"
        f"sys.exit(cli.main({words}))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.startswith("mnist-edge: error: stopped by SIG")
    assert err.count("\n") == 1
    document = json.loads(out)["error"] if "--json" in words else {"exit_code": code}
    assert document["exit_code"] == code


def test_no_thread_and_no_wakeup_is_left_behind(call: Callable[..., Said]) -> None:
    call("--version")
    assert "signals" not in {thread.name for thread in threading.enumerate()}
    assert signal.set_wakeup_fd(-1) == -1


def test_the_signal_handlers_of_a_caller_come_back(call: Callable[..., Said]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    call("--version")
    assert signal.getsignal(signal.SIGTERM) is before


# --- streams --------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["predict", "--json"]])
def test_a_closed_pipe_ends_quietly(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = outside(*words, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    # A failed command keeps its code; nobody is there to read why.
    assert done.returncode == (2 if "predict" in words else 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_a_full_disk_behind_stdout_is_told(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = outside(*words, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"No space left" in done.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"COLUMNS": "20", "TERMINAL_WIDTH": "20"},
        {"COLUMNS": "80", "NO_COLOR": "1"},
    ],
)
@pytest.mark.parametrize("verb", ["train", "export", "predict"])
def test_help_prints_in_any_locale_and_width(settings: dict[str, str], verb: str) -> None:
    done = outside(verb, "--help", env=os.environ | settings)
    assert done.returncode == 0, done.stderr
    assert b"\x1b[" not in done.stdout


@pytest.mark.parametrize("verb", ["train", "import", "run"])
def test_what_makes_a_bundle_never_writes_into_the_shipped_one(verb: str) -> None:
    said = outside(verb, "--help", env=os.environ | {"COLUMNS": "100"}).stdout.decode()
    assert "exports/model" in said
    assert "the shipped one" not in said


def test_a_terminal_of_20_columns_without_colour_gets_tables_and_bars() -> None:
    pty = pytest.importorskip("pty")
    script = (
        "from mnist_edge.cli.talk import Talk, emit_table\n"
        "from mnist_edge.render.table import Table\n"
        "with Talk(quiet=False).progress('train') as progress:\n"
        "    progress(1, 2, 'half')\n"
        "    progress(2, 2, 'done')\n"
        "emit_table(Table(headers=('artifact', 'kB'), rows=(('torchscript-int8-dynamic', '1'),)))\n"
    )
    main, child = pty.openpty()
    environment = os.environ | {"COLUMNS": "20", "NO_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=child, stderr=child, env=environment, timeout=60
    )
    os.close(child)
    said = b""
    while block := _read(main):
        said += block
    os.close(main)
    assert done.returncode == 0, said
    assert b"train" in said
    assert b"kB" in said
    assert b"\x1b[3" not in said, "a colour in spite of NO_COLOR"


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 4096)
    except OSError:  # Linux tells the end of a terminal so
        return b""


def test_without_a_terminal_a_step_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with talking.Talk(quiet=False).progress("train") as progress:
        for done in range(1, 101):
            progress(done, 100, "loss 0.1")
    said = capsys.readouterr().err
    assert said.startswith("train, 100 of 100, loss 0.1, ")
    assert said.count("\n") == 1


def test_quiet_says_nothing_but_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    talk = talking.Talk(quiet=True)
    with talk.progress("train") as progress:
        progress(1, 1)
    talk.say("chatter")
    talk.suggest("mnist-edge run", to="see")
    assert capsys.readouterr().err == ""
    talk.warn("no MNIST")
    assert capsys.readouterr().err == "warning: no MNIST\n"


# --- predict --------------------------------------------------------------------------------


def test_predict_names_each_picture_of_a_folder(call: Callable[..., Said], sevens: Path) -> None:
    said = call("predict", sevens)
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        str(sevens / "one.png"),
        str(sevens / "two.png"),
    ]
    assert lines[0].partition(": ")[2].startswith("7  98.11%")
    assert "then 1 1." in lines[0]
    assert said.err == "bundle: exports/model\n"


def test_predict_does_not_name_a_bundle_that_was_given(
    call: Callable[..., Said], sevens: Path
) -> None:
    assert call("predict", sevens, "--bundle", "mine").err == ""


def test_predict_answers_the_rest_when_a_picture_is_bad(
    call: Callable[..., Said], sevens: Path
) -> None:
    bad = sevens / "aaa.png"
    bad.write_bytes(b"no picture")
    said = call("predict", sevens, sevens / "gone.png", "--quiet")
    assert said.code == 2
    assert len(said.out.splitlines()) == 2
    assert said.err.count("mnist-edge: error: ") == 2
    assert str(bad) in said.err


def test_predict_as_json_is_one_document_with_all_answers(
    call: Callable[..., Said], sevens: Path
) -> None:
    (sevens / "zzz.png").write_bytes(b"no picture")
    said = call("predict", sevens, "--json", "--top", "2")
    document = json.loads(said.out)
    good, _, bad = document["answers"]
    assert good["digit"] == 7
    assert [candidate["digit"] for candidate in good["top"]] == [7, 1]
    assert good["error"] is None
    assert bad["status"] == "error"
    assert bad["error"]["fix"]
    assert said.code == 2


def test_predict_as_csv_quotes_what_must_be(call: Callable[..., Said], sevens: Path) -> None:
    (sevens / "one.png").rename(sevens / 'a,"b.png')
    rows = list(csv.DictReader(io.StringIO(call("predict", sevens, "--csv").out)))
    assert [row["digit"] for row in rows] == ["7", "7"]
    assert rows[0]["picture"] == str(sevens / 'a,"b.png')


def test_predict_reads_stdin(
    call: Callable[..., Said], sevens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO((sevens / "one.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    said = call("predict", "-")
    assert said.out.startswith("-: 7")


def test_predict_calls_an_empty_sheet_no_digit(call: Callable[..., Said], sevens: Path) -> None:
    Image.new("L", (40, 40), 255).save(sevens / "one.png")
    said = call("predict", sevens / "one.png")
    assert said.code == 0
    assert "no digit found" in said.out


def test_a_file_name_that_is_no_text_stays_valid_json(
    call: Callable[..., Said], sevens: Path
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (sevens / "one.png").rename(sevens / name)
    except OSError:
        pytest.skip("this file system takes no such name")
    said = call("predict", sevens / name, "--json")
    assert json.loads(said.out)["answers"][0]["picture"].endswith("caf?.png")


# --- options --------------------------------------------------------------------------------


def options_of(verb: str) -> dict[str, set[str]]:
    """Each parameter of a verb with its spellings."""
    command = load_verb(verb)
    return {parameter.name: set(parameter.opts) for parameter in command.params}


@pytest.mark.parametrize(
    ("verb", "recipe", "left_out"),
    [
        ("train", TrainRecipe, {"name", "claim", "augmentation", "outputs"}),
        ("train", Augmentation, set()),
        (
            "bench",
            BenchRecipe,
            {
                *("min_processes", "budget_s", "may_leave_out", "settle_runs", "block_runs"),
                *("keep_samples", "sweep_s", "sweep_runs"),
            },
        ),
    ],
)
def test_every_field_of_a_recipe_has_an_option(verb: str, recipe: type, left_out: set[str]) -> None:
    assert {field.name for field in fields(recipe)} - set(options_of(verb)) == left_out


@pytest.mark.parametrize(
    ("verb", "recipe", "bad"),
    [
        ("train", catalogue.RECIPES["quick"], {"epochs": 0, "batch_size": 0, "seed": -1}),
        ("train", Augmentation(), {"shift_px": -1.0, "rotation_deg": -1.0}),
        ("bench", BenchRecipe(), {"duration_s": 0.0, "warmup_s": -1.0, "batch_sizes": (0,)}),
    ],
)
def test_a_recipe_names_the_option_to_mend(
    verb: str, recipe: TrainRecipe | Augmentation | BenchRecipe, bad: dict[str, object]
) -> None:
    known = options_of(verb)
    for name, value in bad.items():
        with pytest.raises(errors.UsageError) as caught:
            replace(recipe, **{name: value})  # type: ignore[arg-type]
        option = caught.value.what.split()[0]
        assert option in known[name]


def test_only_fields_that_were_given_change_a_recipe() -> None:
    given = {"epochs": 3, "widths": [4, 8], "seed": None, "quiet": True, "batch_size": None}
    assert given_fields(catalogue.RECIPES["quick"], given) == {"epochs": 3, "widths": (4, 8)}


def test_an_option_left_out_is_no_change(
    call: Callable[..., Said], inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")  # without it, train says so first
    asked: list[TrainRecipe] = []

    def train_bundle(recipe: TrainRecipe, *_: object, **__: object) -> None:
        asked.append(recipe)
        raise errors.TrainingError("enough", fix="none")

    monkeypatch.setattr("mnist_edge.train.session.train_bundle", train_bundle)
    monkeypatch.setattr("mnist_edge.data.obtain.obtain_data", lambda *_, **__: None)
    call("train")
    call("train", "--epochs", "2", "--widths", "4", "--widths", "8", "--shift-px", "1.5")
    plain, changed = asked
    assert plain == catalogue.RECIPES["quick"]
    assert (changed.epochs, changed.widths) == (2, (4, 8))
    assert changed.augmentation == replace(plain.augmentation, shift_px=1.5)


@pytest.mark.parametrize("verb", ["train", "export", "verify", "bench", "doctor", "predict", "run"])
def test_every_verb_talks_json_and_can_be_quiet(verb: str) -> None:
    spellings = set().union(*options_of(verb).values())
    assert {"--json", "--quiet", "--bundle"} <= spellings


def test_every_option_and_verb_has_a_help_text() -> None:
    for name, entry in VERBS.items():
        command = load_verb(name)
        assert command.help.split("\n\n")[0] == entry.summary, name
        assert "Examples" in command.epilog, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


# --- verify and bench -----------------------------------------------------------------------


@pytest.fixture
def bundle(inside: Path) -> Path:
    """A bundle whose files no runtime loads."""
    return make_bundle(inside / "exports/model").path


def test_bench_saves_its_report_and_tells_where(
    call: Callable[..., Said], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = BenchRecipe(processes=1, timeout_s=60.0)
    monkeypatch.setitem(recipes.BENCH_RECIPES, "quick", quick)
    said = call(
        "bench", "--quick", "--artifact", "onnx-float32", "--duration", "0.5", "--out", "b.json"
    )
    assert said.code == 0, said.err
    report = json.loads(Path("b.json").read_text())
    assert report["recipe"]["duration_s"] == 0.5
    assert report["finished"] is True
    assert report["rows"][0]["status"] == "failed"
    assert "wrote b.json" in said.err
    assert "bundle: exports/model" in said.err
    assert "next: mnist-edge predict" in said.err
    assert "onnx-float32" in said.out


def test_verify_refuses_a_damaged_bundle(call: Callable[..., Said], bundle: Path) -> None:
    (bundle / "onnx-float32.onnx").write_bytes(b"onnx bytez")
    said = call("verify", "--json")
    assert json.loads(said.out)["error"]["kind"] == "DigestMismatch"
    assert said.code == 2


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("x.so: failed to map segment from shared object"),
        ImportError("std::bad_alloc"),
    ],
    ids=repr,
)
def test_memory_that_runs_out_is_an_error_of_the_input(
    call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(cli, "call", raising(error))
    said = call("predict")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("mnist-edge: error: this takes more memory than there is; ")
    assert said.err.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_memory_limit_is_not_a_ctrl_c(tmp_path: Path) -> None:
    # OpenBLAS raises SIGINT where it gets no thread while numpy is imported.
    script = (
        "import signal, sys, threading\n"
        "from mnist_edge import cli\n"
        "def start(*_):\n"
        '    raise RuntimeError("can\'t start new thread")\n'
        "def call(_):\n"
        "    if sys.argv[1] == 'limited':\n"
        "        threading.Thread.start = start\n"
        "    code = 'import signal\\nsignal.raise_signal(signal.SIGINT)'\n"
        "    exec(code, {'__name__': sys.argv[2]})\n"
        "cli.call = call\n"
        "sys.exit(cli.main(['predict']))\n"
    )
    cases = {("limited", "numpy.core"): 2, ("free", "numpy.core"): 130, ("limited", "other"): 130}
    for words, code in cases.items():
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True)
        assert done.returncode == code, words


def test_no_room_for_temporary_files_is_an_error_of_storage(
    call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")
    monkeypatch.setattr(cli, "call", raising(error))
    said = call("export", "--json")
    assert said.code == 2
    assert json.loads(said.out)["error"]["kind"] == "StorageError"


@pytest.mark.parametrize(
    ("bundle", "name"),
    [
        ("model", "model"),
        ("a b/c", "a-b-c"),
        ("-x", "x"),
        ("..", "bundle"),
        ("line\nbreak", "line-break"),
        ("\x1b[31m", "31m"),
        ("größe", "größe"),
        ("x" * 255, "x" * 60),
    ],
)
def test_a_report_bears_a_name_that_any_system_takes(bundle: str, name: str) -> None:
    path = report_path(None, bundle=bundle, verb="bench", processor="A CPU")
    assert path == Path("benchmarks", f"{name}-bench-a-cpu.json")
