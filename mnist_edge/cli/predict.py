"""`mnist-edge predict`: the verb that an edge device needs; it never waits for torch."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from mnist_edge.bundle import codec
from mnist_edge.cli import options
from mnist_edge.cli.talk import Talk, emit, emit_json
from mnist_edge.errors import UsageError
from mnist_edge.progress import silent
from mnist_edge.recipes.classes import MOST_CLASSES
from mnist_edge.recipes.fields import Setting
from mnist_edge.recipes.terms import DEFAULT_ARTIFACT, Device
from mnist_edge.render.answers import CSV_HEADER, Answer, answers, csv_line, line

if TYPE_CHECKING:
    from mnist_edge.picture import Source
    from mnist_edge.predict import FileResult

EPILOG = """[bold]Examples[/bold]
mnist-edge predict seven.png            # digit, probability, next candidates
mnist-edge predict --many number.jpg    # every digit, from left to right
mnist-edge predict scans --csv          # every picture of a folder
cat seven.png | mnist-edge predict -    # from stdin"""

_STDIN = "-"

_Pictures: TypeAlias = Annotated[
    list[str],
    options.argument("PICTURE...", "Pictures, folders of pictures, or - for stdin."),
]
_Model: TypeAlias = Annotated[
    Path | None,
    options.value(
        "--bundle --model",
        "PATH",
        "The folder of a bundle, or an .onnx file that was exported from one.",
        default=options.OR_SHIPPED,
    ),
]
_Artifact: TypeAlias = Annotated[
    str | None,
    options.value(
        "--artifact",
        "NAME",
        "Which artifact of the bundle answers.",
        default=f"{DEFAULT_ARTIFACT}, or the only one that is there",
    ),
]
_AllowMismatch: TypeAlias = Annotated[
    bool, options.flag("--allow-mismatch", "Use an artifact even if it is not equivalent.")
]
_Many: TypeAlias = Annotated[
    bool, options.flag("--many", "Read every digit of a picture, row by row, from left to right.")
]
_Top: TypeAlias = Annotated[
    int, options.option("top", int, Setting("How many candidates to show.", 1, MOST_CLASSES))
]
_BatchSize: TypeAlias = Annotated[
    int,
    options.option(
        "batch_size", int, Setting("Pictures classified at once.", 1, 60_000, options.MACHINE_PANEL)
    ),
]
_Processes: TypeAlias = Annotated[
    int | None,
    options.option(
        "processes",
        int,
        Setting("Processes that read pictures at once, of many.", 1, 1024, options.MACHINE_PANEL),
        show_default="all that this process may use",
    ),
]
_Device: TypeAlias = Annotated[
    Device, options.option("device", Device, Setting("Where to run.", group=options.MACHINE_PANEL))
]
_Show: TypeAlias = Annotated[
    bool,
    options.flag(
        "--show",
        "Print the 28x28 pixels that the net was fed, and the steps to them.",
        options.OUTPUT_PANEL,
    ),
]
_SaveInput: TypeAlias = Annotated[
    Path | None,
    options.value(
        "--save-input",
        "FOLDER",
        "Save the 28x28 pixels that the net was fed, one PNG a digit.",
        options.OUTPUT_PANEL,
    ),
]
_Csv: TypeAlias = Annotated[
    bool, options.flag("--csv", "Print one line of CSV a digit.", options.OUTPUT_PANEL)
]


def command(
    pictures: _Pictures,
    bundle: _Model = None,
    artifact: _Artifact = None,
    allow_mismatch: _AllowMismatch = False,
    many: _Many = False,
    top: _Top = 3,
    batch_size: _BatchSize = 256,
    processes: _Processes = None,
    device: _Device = "cpu",
    threads: options.ThreadsOption = 1,
    backend: options.BackendOption = None,
    key: options.KeyOption = None,
    not_before: options.NotBeforeOption = None,
    trust: options.TrustOption = False,
    show: _Show = False,
    save_input: _SaveInput = None,
    as_csv: _Csv = False,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Name the digit in each picture, with its probability. Works without torch."""
    from mnist_edge.bundle.folder import default_bundle_path
    from mnist_edge.predict import Predictor, predict_files

    if as_csv + as_json + show > 1:
        raise UsageError("--csv, --json and --show exclude each other", fix="give one of them")
    talk = Talk(quiet=quiet)
    path = bundle or default_bundle_path()
    found: list[Answer] = []
    with Predictor.load(
        path,
        artifact=artifact,
        device=device,
        threads=threads,
        backend=backend or "",
        allow_mismatch=allow_mismatch,
        key=key,
        not_before=not_before,
        trust=trust,
    ) as predictor:
        if bundle is None:
            talk.say(f"bundle: {path}")
        if as_csv:
            emit(CSV_HEADER)
        sources = _sources(pictures)
        # On a terminal the results themselves show how far it is.
        bar = len(sources) > batch_size and not sys.stdout.isatty()
        with talk.progress("predict") if bar else nullcontext(silent) as progress:
            for result in predict_files(
                predictor,
                sources,
                many=many,
                batch_size=batch_size,
                processes=processes or _usable(sources),
                progress=progress,
            ):
                if result.error is not None:
                    talk.complain(result.error)
                new = answers(_name(result.source), result, top)
                for answer in new:
                    if as_csv:
                        emit(csv_line(answer))
                    elif not as_json and answer.error is None:
                        emit(line(answer, placed=many))
                if show:
                    _print_input(result)
                if save_input is not None:
                    _write_input(result, save_input, start=len(found))
                found += new
    if as_json:
        document = {"model": str(path), "artifact": predictor.artifact, "answers": found}
        emit_json(codec.dumps(document))
    return 2 if any(answer.error for answer in found) else 0


def _print_input(result: FileResult) -> None:
    from mnist_edge.render.preview import preview

    for reading in result.readings:
        emit("\n".join(preview(reading.picture, encoding=sys.stdout.encoding)))


def _write_input(result: FileResult, folder: Path, *, start: int) -> None:
    """Save what the net was fed; the number of the answer keeps namesakes apart."""
    from PIL import Image

    from mnist_edge.bundle.storage import atomic_write

    stem = Path(_name(result.source)).stem.strip("-") or "stdin"
    for number, reading in enumerate(result.readings, start=start + 1):
        buffer = io.BytesIO()
        Image.fromarray(reading.picture.pixels).save(buffer, "PNG")
        atomic_write(folder / f"{number:05}-{stem}.png", buffer.getvalue())


def _sources(pictures: list[str]) -> list[Source]:
    """Files, the pictures of folders, and stdin, in the order given."""
    from mnist_edge.picture.files import find_pictures

    sources: list[Source] = []
    for picture in pictures:
        sources += [sys.stdin.buffer] if picture == _STDIN else find_pictures([picture])
    return sources


def _usable(sources: list[Source]) -> int:
    """How many processes may read these pictures."""
    if len(sources) == 1:
        return 1
    from mnist_edge.machine import usable_threads  # slow to import

    return usable_threads()


def _name(source: Source) -> str:
    return str(source) if isinstance(source, Path) else _STDIN
