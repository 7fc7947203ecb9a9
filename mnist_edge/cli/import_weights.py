"""`mnist-edge import`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mnist_edge.cli import options
from mnist_edge.cli.steps import bundle_files, get_data
from mnist_edge.cli.talk import Talk, emit, emit_json, emit_table
from mnist_edge.recipes.catalogue import RECIPES, train_recipe
from mnist_edge.recipes.fields import Setting

if TYPE_CHECKING:
    from mnist_edge.bundle.folder import Bundle
    from mnist_edge.data.mnist import DataSet
    from mnist_edge.foreign.net import Forced, ForeignNet
    from mnist_edge.recipes.terms import Preprocessing
    from mnist_edge.recipes.train import TrainRecipe

EPILOG = """[bold]Examples[/bold]
mnist-edge import model.onnx                      # what it wants of a picture is found
mnist-edge import model.onnx --mean 0.5 --std 0.5 # or is said: pixels from -1 to 1
mnist-edge import model.pth                       # weights of layers in a chain
mnist-edge import model.pth --architecture net.py:Net   # or of a class of your own
mnist-edge import traced.pt --trust               # TorchScript, which is a program
mnist-edge import model.pth --recipe lenet        # or of an architecture of ours
mnist-edge import net.safetensors --recipe wide   # or as safetensors"""

_CONTRACT_PANEL = "How the net reads a picture (found on digits, unless given)"


def command(
    weights: Annotated[
        Path,
        options.argument(
            "FILE",
            "An .onnx, .h5 or .keras file, a TorchScript or .pt2 program, or weights: .pth, "
            ".pt, .safetensors.",
        ),
    ],
    recipe: Annotated[
        str | None,
        options.value(
            "--recipe",
            "NAME",
            f"Whose architecture weights are of: {', '.join(RECIPES)}.",
            known=tuple(RECIPES),
        ),
    ] = None,
    architecture: Annotated[
        str,
        options.value(
            "--architecture",
            "FILE.py:CLASS",
            "Your own class, whose weights they are: its program is run.",
        ),
    ] = "",
    arguments: Annotated[
        str, options.value("--arguments", "JSON", "Arguments of that class, by name.")
    ] = "",
    key: Annotated[
        str, options.value("--key", "NAME", "Which of several weights in a torch file.")
    ] = "",
    trust: Annotated[
        bool,
        options.flag(
            "--trust",
            "Run the program in a TorchScript or .pt2 file, whoever wrote it.",
            options.TRUST_PANEL,
        ),
    ] = False,
    mean: Annotated[
        float | None,
        options.option(
            "mean", float, Setting("Subtracted from pixels 0 to 1.", -1e6, 1e6, _CONTRACT_PANEL)
        ),
    ] = None,
    std: Annotated[
        float | None,
        options.option(
            "std", float, Setting("What they are then divided by.", 1e-6, 1e6, _CONTRACT_PANEL)
        ),
    ] = None,
    invert: Annotated[
        bool | None,
        options.flag("--invert/--no-invert", "It reads black ink on white.", _CONTRACT_PANEL),
    ] = None,
    transpose: Annotated[
        bool | None,
        options.flag("--transpose/--no-transpose", "Its rows are our columns.", _CONTRACT_PANEL),
    ] = None,
    bundle: options.NewBundleOption = None,
    data: options.DataOption = "auto",
    data_dir: options.DataDirOption = None,
    preprocessing: options.PreprocessingOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Make a bundle of a net that you already have; its accuracy is measured."""
    from mnist_edge.bundle.folder import LOCAL_BUNDLE
    from mnist_edge.foreign.net import Forced
    from mnist_edge.render import text

    talk = Talk(quiet=quiet)
    folder = bundle or LOCAL_BUNDLE
    read = partial(get_data, talk, data, data_dir, preprocessing)

    def reader(path: Path) -> tuple[ForeignNet, ...]:
        return _read_torch(path, key, architecture, arguments, trust=trust)

    if recipe is None:
        forced = Forced.of(mean, std, inverted=invert, transposed=transpose)
        if data == "auto" and data_dir is None:
            read = partial(_digits_at_hand, talk, preprocessing)
        imported = _take_in(talk, weights, folder, read, forced, reader)
    else:
        imported = _by_recipe(talk, weights, recipe, key, folder, read)
    if as_json:
        emit_json(text.bundle_json(imported))
    else:
        emit_table(text.files_table(bundle_files(imported)))
        emit(text.training_line(imported.manifest))
    talk.suggest(f"mnist-edge export{options.given_bundle(bundle)}", to="write its artifacts")


def _by_recipe(
    talk: Talk, weights: Path, recipe: str, key: str, folder: Path, read: Callable[[], DataSet]
) -> Bundle:
    from mnist_edge.train.session import check_start, import_bundle

    named = train_recipe(recipe)
    check_start(folder)
    _check_weights(weights, named, key)
    digits = read()
    with talk.signature_kept(folder):
        return import_bundle(weights, named, digits, folder, key=key, notice=talk.warn)


def _digits_at_hand(talk: Talk, preprocessing: Preprocessing | None) -> DataSet:
    """MNIST, or where it cannot be had digits that are drawn: what the contract is found on."""
    from mnist_edge.errors import DataUnavailable, MissingDependency

    try:
        return get_data(talk, "mnist", None, preprocessing)
    except (DataUnavailable, MissingDependency) as error:
        from mnist_edge.data.strokes import drawn_data

        talk.warn(
            f"MNIST cannot be had ({error.what}): drawn digits tell how the net reads pictures, "
            "and how often it is right; --data-dir names a folder that has MNIST's four files"
        )
        return drawn_data()


def _read_torch(
    path: Path, key: str, architecture: str, arguments: str, *, trust: bool
) -> tuple[ForeignNet, ...]:
    from mnist_edge.bundle.storage import read_file
    from mnist_edge.errors import Untrusted, needed_to
    from mnist_edge.foreign.kinds import kind_of
    from mnist_edge.foreign.read import MOST_BYTES

    kind = kind_of(read_file(path, most=MOST_BYTES))
    if kind.is_program and not architecture and not trust:
        raise Untrusted(
            f"{path} is {kind.said}: that is a program, and to read it is to run it",
            fix="give --trust if you know its maker",
        )
    with needed_to("import a torch file"):
        from mnist_edge.train.torch_nets import read_torch_nets
    if architecture or kind.is_program:
        from mnist_edge.train.program import read_program, read_user_class

        if architecture:
            return read_user_class(path, architecture, arguments, key)
        return read_program(path, kind.said)
    return read_torch_nets(path, key)


def _check_weights(weights: Path, recipe: TrainRecipe, key: str) -> None:
    """Refuse what can only fail, before time is spent on data."""
    from mnist_edge.train.importing import import_weights

    import_weights(weights, recipe, key=key)


def _take_in(
    talk: Talk,
    file: Path,
    folder: Path,
    read: Callable[[], DataSet],
    forced: Forced,
    read_torch: Callable[[Path], tuple[ForeignNet, ...]],
) -> Bundle:
    from mnist_edge.bundle.folder import refuse_shipped
    from mnist_edge.errors import needed_to
    from mnist_edge.foreign.read import read_file_of_others

    refuse_shipped(folder)
    with needed_to("import a net", extra="onnx"):
        from mnist_edge.foreign.take_in import take_in
    nets, digest = read_file_of_others(file, read_torch)
    digits = read()
    with talk.signature_kept(folder), talk.progress("import") as progress:
        return take_in(
            nets,
            file,
            digest,
            digits,
            folder,
            forced=forced,
            notice=talk.say,
            warn=talk.warn,
            progress=progress,
        )
